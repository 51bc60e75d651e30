//! The flags of the program: one argh struct, whose doc comments are the text of `--help`.
//!
//! [`Args`] is the only list of names and help texts. Its fields hold the texts of the values.
//! The table in [`flags`] adds to each flag the scenarios and roles that use it. [`argv`] splits a
//! command line and reads the environment. [`values`] converts each text, and [`parse`] runs these
//! steps in order.

pub mod argv;
pub mod flags;
pub mod parse;
pub mod values;

use argh::{ArgsInfo, FromArgs};

/// The name of the program in its help and messages.
pub const PROGRAM: &str = "sockactors";

/// Run a server or client of one of four scenarios: greetings, datagrams, files, chat.
#[derive(Debug, Default, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    usage = "--scenario <tcp|udp|file|chat> [--role <role>] [flags] [FILE...]",
    example = "{command_name} --scenario chat",
    example = "{command_name} --scenario chat --connect 127.0.0.1:12345 --nick ada",
    example = "{command_name} --scenario file --clients 2 --out /tmp",
    example = "{command_name} --scenario file --connect 127.0.0.1:8080 photo.jpg",
    example = "{command_name} --scenario udp --role both --count 3",
    note = "ENDPOINT is HOST:PORT, [V6]:PORT, :PORT (all interfaces) or unix:PATH.",
    note = "Durations and sizes have units: 150ms, 30s, 15m; 1024, 64KiB, 64MiB.",
    note = "Text in parentheses at the end of a description is the default.",
    note = "Every flag has an environment variable: --max-conns is SOCKACTORS_MAX_CONNS.",
    note = "A flag on the command line wins. A variable holds 1 or 0 for a switch, and",
    note = "values separated by commas for a repeatable flag.",
    error_code(1, "failed while running"),
    error_code(2, "usage error"),
    error_code(3, "could not connect or bind"),
    error_code(4, "timed out, or lost more replies than --max-loss allows"),
    error_code(5, "received data differs from the data sent"),
    error_code(6, "disk full or over quota"),
    error_code(130, "client interrupted by Ctrl-C")
)]
pub struct Args {
    /// scenario to run: tcp (greetings), udp (datagrams), file or chat
    #[argh(option)]
    pub scenario: Option<String>,

    /// server, client, or both in one process (server; client if --connect is given)
    #[argh(option)]
    pub role: Option<String>,

    /// server: ENDPOINT to listen on; repeatable (127.0.0.1 with port 12345, udp 20001,
    /// file 8080)
    #[argh(option)]
    pub listen: Vec<String>,

    /// client: ENDPOINT to connect to (the default of --listen)
    #[argh(option)]
    pub connect: Option<String>,

    /// server: exit after serving N clients (no limit)
    #[argh(option)]
    pub clients: Option<String>,

    /// server: maximum number of simultaneous connections (1024, or fewer if memory is short)
    #[argh(option)]
    pub max_conns: Option<String>,

    /// server: maximum number of simultaneous connections per address, where an IPv6 /64 counts
    /// as one address; 0 is no limit (a quarter of --max-conns, beyond loopback)
    #[argh(option)]
    pub max_per_ip: Option<String>,

    /// server: memory for everything that clients make it hold, as 8MiB (a quarter of the
    /// memory of the machine or the control group)
    #[argh(option)]
    pub max_memory: Option<String>,

    /// server: length of the kernel's queue of connections to accept (128)
    #[argh(option)]
    pub backlog: Option<String>,

    /// file and chat server: timeout for the first byte of a connection, or off (off)
    #[argh(option)]
    pub first_timeout: Option<String>,

    /// file and chat server: timeout for a silent connection, or off (file 15m, chat off)
    #[argh(option)]
    pub idle_timeout: Option<String>,

    /// server: time for connections to finish after a stop signal (10s)
    #[argh(option)]
    pub drain_timeout: Option<String>,

    /// number of threads that run actors, from 1 to 64 (1)
    #[argh(option)]
    pub threads: Option<String>,

    /// tcp server: text of the greeting. udp server: text of the reply. udp client, and udp with
    /// --role both: text of the request. chat client: send this line, then leave
    #[argh(option)]
    pub message: Option<String>,

    /// tcp and udp client: number of requests to send (1)
    #[argh(option)]
    pub count: Option<String>,

    /// tcp and udp client: pause between two requests (1s)
    #[argh(option)]
    pub interval: Option<String>,

    /// client: timeout for a connection or a reply (10s)
    #[argh(option)]
    pub timeout: Option<String>,

    /// udp client: size of a request in bytes, from 0 to 65507 (size of the message)
    #[argh(option)]
    pub size: Option<String>,

    /// tcp client: number of simultaneous connections, made without a pause unless --interval
    /// is given (1)
    #[argh(option)]
    pub concurrency: Option<String>,

    /// tcp and udp client: percentage of replies that may be lost; more is exit code 4 (0)
    #[argh(option)]
    pub max_loss: Option<String>,

    /// udp: size of the largest datagram that is read whole, from 1 to 65535 bytes (1024)
    #[argh(option)]
    pub buffer_size: Option<String>,

    /// udp server: maximum rate of replies per source network (/24, IPv6 /56), as N/s or N/DUR,
    /// or off (1000/s, for other machines only)
    #[argh(option)]
    pub reply_rate: Option<String>,

    /// udp server: allow replies to other machines that are longer than the request
    #[argh(switch)]
    pub allow_amplification: bool,

    /// udp server: multicast group to join, as ADDR or ADDR%IFACE; repeatable
    #[argh(option)]
    pub join_group: Vec<String>,

    /// file server: directory for received files (.)
    #[argh(option)]
    pub out: Option<String>,

    /// file server: what to do if a file name exists: fail, rename (add a number), overwrite or
    /// skip (fail)
    #[argh(option)]
    pub on_conflict: Option<String>,

    /// file server: size limit of a file (no limit)
    #[argh(option)]
    pub max_size: Option<String>,

    /// file server: number of files and directories to create at most in one run (no limit)
    #[argh(option)]
    pub max_files: Option<String>,

    /// file server: disk space to leave free, and with it 1 % of the inodes (64MiB)
    #[argh(option)]
    pub keep_free: Option<String>,

    /// file server: delete a partial file that was not continued for this time; 0s is never
    /// (168h)
    #[argh(option)]
    pub part_ttl: Option<String>,

    /// file server: disconnect a framed client that sends less of a file than SIZE/s for a minute;
    /// 0 is no minimum (64B/s)
    #[argh(option)]
    pub min_rate: Option<String>,

    /// file client: send plain bytes without names, for the lecture's server or netcat
    #[argh(switch)]
    pub raw: bool,

    /// file client: auto (reconnect, and continue a file at what the server already has) or off
    /// (auto)
    #[argh(option)]
    pub resume: Option<String>,

    /// chat client: nickname (assigned by the server)
    #[argh(option)]
    pub nick: Option<String>,

    /// chat server: name of the default room (lobby). chat client: room to join
    #[argh(option)]
    pub room: Option<String>,

    /// chat: dialect of the peers: auto (detect it from the first bytes), lecture or line (auto)
    #[argh(option)]
    pub dialect: Option<String>,

    /// chat client: reconnect after a lost connection: auto (at a terminal, after the first
    /// join), always (even before the first connection) or never (auto)
    #[argh(option)]
    pub reconnect: Option<String>,

    /// chat server: file with the password for /operator, which permits /kick, /mute, /ban and
    /// /announce
    #[argh(option)]
    pub operator_password_file: Option<String>,

    /// chat server: maximum number of lines per room that /history shows (100)
    #[argh(option)]
    pub history: Option<String>,

    /// chat server: directory that keeps the history across restarts (in memory only)
    #[argh(option)]
    pub history_dir: Option<String>,

    /// chat server: size limit of --history-dir, at least 1MiB (16MiB)
    #[argh(option)]
    pub history_size: Option<String>,

    /// udp client: send N requests per second (or N/DUR) without waiting for replies. chat
    /// server: limit each client to N lines per DUR, and each address to ten times as many, as
    /// N/DUR (100/10s, for other machines only)
    #[argh(option)]
    pub rate: Option<String>,

    /// write one JSON object per line to stdout
    #[argh(switch)]
    pub json: bool,

    /// show only results and errors
    #[argh(switch, short = 'q')]
    pub quiet: bool,

    /// log more to stderr; -vv logs everything
    #[argh(switch, short = 'v')]
    pub verbose: u8,

    /// use colors: auto, always or never (auto)
    #[argh(option)]
    pub color: Option<String>,

    /// never prompt for input
    #[argh(switch)]
    pub no_input: bool,

    /// crash the actor at PATH when it starts, or its first N starts with PATH=N, to watch its
    /// supervisor restart it; repeatable
    #[argh(option)]
    pub drill: Vec<String>,

    /// print the version
    #[argh(switch, short = 'V')]
    pub version: bool,

    /// file client: files and directories to send, or - for stdin; without FILE, names are read
    /// from stdin
    #[argh(positional, arg_name = "FILE")]
    pub files: Vec<String>,
}

impl Args {
    /// Sorts words into the fields, as [`RawArgs::to_argh`](argv::RawArgs::to_argh) returns them.
    ///
    /// # Errors
    ///
    /// Returns argh's message about the first unexpected word.
    pub fn parse(words: &[String]) -> Result<Args, String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Args::from_args(&[PROGRAM], &words).map_err(|early| early.output.trim_end().to_owned())
    }
}

/// Returns the text of `--help`, with a line feed at its end.
pub fn help_text() -> String {
    early_exit_output(&["--help"])
}

/// Returns argh's message about an unknown flag, with the name of a similar flag.
pub fn unknown_flag_message(word: &str) -> String {
    early_exit_output(&[word]).trim_end().to_owned()
}

/// Returns the text with which argh ends early on `words`, or an empty text if it does not.
fn early_exit_output(words: &[&str]) -> String {
    match Args::from_args(&[PROGRAM], words) {
        Ok(_) => String::new(),
        Err(early) => early.output,
    }
}

#[cfg(test)]
mod tests;
