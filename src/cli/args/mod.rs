//! What argh makes of the words: one struct whose doc comments are the text of `--help`.
//!
//! Values stay texts here. What they mean, and in which range they must be, is said in one place for the
//! line and the environment alike, in [`values`](values); which flags go together is said by the
//! table in [`flags`](flags). What argh gives beside the struct is the help text and, for a flag that
//! does not exist, the name of one that the user may have meant.

use argh::FromArgs;

/// The name that the program goes by in its help and its messages.
pub const PROGRAM: &str = "sockactors";

/// Serve, or talk to, one of four sockets: greetings, datagrams, files, chat.
#[derive(Debug, Default, FromArgs)]
#[cfg_attr(test, derive(argh::ArgsInfo))]
#[argh(
    help_triggers("-h", "--help"),
    usage = "--scenario <tcp|udp|file|chat> [--role <role>] [flags] [FILE...]",
    example = "{command_name} --scenario chat",
    example = "{command_name} --scenario chat --connect 127.0.0.1:12345 --nick ada",
    example = "{command_name} --scenario file --clients 2 --out /tmp",
    example = "{command_name} --scenario file --connect 127.0.0.1:8080 photo.jpg",
    example = "{command_name} --scenario udp --role both --count 3",
    note = "ENDPOINT is HOST:PORT, [V6]:PORT, :PORT (every interface) or unix:PATH.",
    note = "Durations and sizes carry units: 150ms, 30s, 15m; 1024, 64KiB, 64MiB.",
    note = "Every flag has an environment variable, SOCKACTORS_MAX_CONNS for --max-conns; a",
    note = "flag wins. Switches take 1 or 0, repeated flags a list with commas.",
    error_code(1, "failed while running"),
    error_code(2, "wrong usage"),
    error_code(3, "could not connect or bind"),
    error_code(4, "timed out, or answers were lost"),
    error_code(5, "what arrived is not what was sent"),
    error_code(6, "disk full"),
    error_code(130, "a client was ended by Ctrl-C")
)]
pub struct Args {
    /// what to run: tcp (greeting), udp (datagrams), file or chat
    #[argh(option)]
    pub scenario: Option<String>,

    /// server, client or both in one process (server; client where --connect is given)
    #[argh(option)]
    pub role: Option<String>,

    /// server: where to listen (127.0.0.1 with port 12345, udp 20001, file 8080);
    /// repeatable
    #[argh(option)]
    pub listen: Vec<String>,

    /// client: where to connect (the server's default address)
    #[argh(option)]
    pub connect: Option<String>,

    /// server: serve so many clients, then finish (no end)
    #[argh(option)]
    pub clients: Option<String>,

    /// server: most connections at once (1024)
    #[argh(option)]
    pub max_conns: Option<String>,

    /// server: connections of one address at once; an IPv6 /64 is one address (0: any number)
    #[argh(option)]
    pub max_per_ip: Option<String>,

    /// server: connections that wait in the kernel for accept (128)
    #[argh(option)]
    pub backlog: Option<String>,

    /// file and chat server: longest wait for a first byte, or off (off)
    #[argh(option)]
    pub first_timeout: Option<String>,

    /// file and chat server: longest silence, or off (file 15m, chat off)
    #[argh(option)]
    pub idle_timeout: Option<String>,

    /// server: time for connections to finish after a stop (10s)
    #[argh(option)]
    pub drain_timeout: Option<String>,

    /// threads that run actors, 1 to 64 (1)
    #[argh(option)]
    pub threads: Option<String>,

    /// tcp server: the greeting; udp server: the answer; udp client (and both): the request; chat client: say
    /// this, then leave
    #[argh(option)]
    pub message: Option<String>,

    /// tcp and udp client: requests to send (1)
    #[argh(option)]
    pub count: Option<String>,

    /// tcp and udp client: pause between two requests (1s)
    #[argh(option)]
    pub interval: Option<String>,

    /// client: longest wait for a connection or an answer (10s)
    #[argh(option)]
    pub timeout: Option<String>,

    /// udp client: bytes of a request, 0 to 65507 (the message's)
    #[argh(option)]
    pub size: Option<String>,

    /// tcp client: connections at once, each with no pause unless --interval says so (1)
    #[argh(option)]
    pub concurrency: Option<String>,

    /// tcp and udp client: percent of the answers that may be lost before the exit code is 4 (0)
    #[argh(option)]
    pub max_loss: Option<String>,

    /// udp: largest datagram to read, 1 to 65535 bytes (1024)
    #[argh(option)]
    pub buffer_size: Option<String>,

    /// udp server: answers to one network (/24, /56) in which time, as N/s, or off (1000/s, from beyond this machine)
    #[argh(option)]
    pub reply_rate: Option<String>,

    /// udp server: answer beyond this machine with more bytes than were sent
    #[argh(switch)]
    pub allow_amplification: bool,

    /// udp server: multicast group to hear, as ADDR or ADDR%IFACE; repeatable
    #[argh(option)]
    pub join_group: Vec<String>,

    /// file server: directory to store files in (.)
    #[argh(option)]
    pub out: Option<String>,

    /// file server: what becomes of a file whose name is taken: fail, rename (it gets a number), overwrite or skip (fail)
    #[argh(option)]
    pub on_conflict: Option<String>,

    /// file server: largest file to take (no limit)
    #[argh(option)]
    pub max_size: Option<String>,

    /// file server: disk space that stays free (64MiB)
    #[argh(option)]
    pub keep_free: Option<String>,

    /// file server: how long the beginning of a file waits to be resumed, 0s for ever (168h)
    #[argh(option)]
    pub part_ttl: Option<String>,

    /// file client: send the files' bytes alone, as a plain server (the lecture's, nc) expects
    #[argh(switch)]
    pub raw: bool,

    /// file client: go on after a lost connection, and from what the server holds of a file: auto or off (auto)
    #[argh(option)]
    pub resume: Option<String>,

    /// chat client: name to take (chosen by the server)
    #[argh(option)]
    pub nick: Option<String>,

    /// chat server: room that everybody comes to first (lobby); client: room to go to
    #[argh(option)]
    pub room: Option<String>,

    /// chat: what peers speak, auto (their first bytes tell), lecture (chunks) or line (auto)
    #[argh(option)]
    pub dialect: Option<String>,

    /// chat client: connect again when the server is away: auto (at a terminal, once it was in), always (from the
    /// start) or never (auto)
    #[argh(option)]
    pub reconnect: Option<String>,

    /// chat server: file with the password for /operator, whose commands are /kick, /mute, /ban, /announce
    #[argh(option)]
    pub operator_password_file: Option<String>,

    /// chat server: lines of a room that /history can show (100)
    #[argh(option)]
    pub history: Option<String>,

    /// chat server: directory to keep what is said in, over restarts (in memory alone)
    #[argh(option)]
    pub history_dir: Option<String>,

    /// chat server: largest size of that directory, from 1MiB on (16MiB)
    #[argh(option)]
    pub history_size: Option<String>,

    /// udp client: requests to send a second, answered or not; chat server: lines that each may say before it
    /// waits, and in which time, as N/DUR (100/10s, from beyond this machine)
    #[argh(option)]
    pub rate: Option<String>,

    /// write one JSON object a line to stdout
    #[argh(switch)]
    pub json: bool,

    /// results and errors only
    #[argh(switch, short = 'q')]
    pub quiet: bool,

    /// tell more on stderr; -vv tells most
    #[argh(switch, short = 'v')]
    pub verbose: u8,

    /// colours on stderr: auto, always or never (auto)
    #[argh(option)]
    pub color: Option<String>,

    /// never prompt
    #[argh(switch)]
    pub no_input: bool,

    /// crash the actor at PATH, or N times with PATH=N, to see its supervisor restart it; repeatable
    #[argh(option)]
    pub drill: Vec<String>,

    /// print the version
    #[argh(switch, short = 'V')]
    pub version: bool,

    /// file client: files and directories to send, - is stdin; without any, names are read from stdin
    #[argh(positional, arg_name = "FILE")]
    pub files: Vec<String>,
}

impl Args {
    /// Sorts words, as [`Words::for_argh`](argv::Words::for_argh) gives them, into the fields.
    ///
    /// # Errors
    ///
    /// Returns what argh says of the first word that it cannot take.
    pub fn parse(words: &[String]) -> Result<Args, String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Args::from_args(&[PROGRAM], &words).map_err(|early| early.output.trim_end().to_owned())
    }
}

/// Returns the text of `--help`, with a line feed at its end.
pub fn help_text() -> String {
    early_exit_output(&["--help"])
}

/// Returns what argh says of a word that is no flag, with the flag that may have been meant.
pub fn unknown_flag_message(word: &str) -> String {
    early_exit_output(&[word]).trim_end().to_owned()
}

/// Returns why argh makes no [`Args`] of `words`, or nothing if it does.
fn early_exit_output(words: &[&str]) -> String {
    match Args::from_args(&[PROGRAM], words) {
        Ok(_) => String::new(),
        Err(early) => early.output,
    }
}

pub mod argv;
pub mod choices;
pub mod flags;
pub mod names;
pub mod parse;
pub mod values;

#[cfg(test)]
mod tests;
