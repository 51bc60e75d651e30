//! The flags of the program: one argh struct, whose doc comments are the text of `--help`.
//!
//! [`Args`] is the only list of names and help texts. Its fields hold the texts of the values.
//! The table in [`flags`] adds to each flag the scenarios and roles that use it. [`help`] and
//! [`completions`] render both. [`argv`] splits a command line and reads the environment.
//! [`values`] converts each text, and [`parse`] runs these steps in order. [`nearest`] finds the
//! word that a misspelled one stands for.

pub mod argv;
pub mod completions;
pub mod flags;
pub mod help;
pub mod nearest;
pub mod parse;
pub mod values;
pub mod variables;

use argh::{ArgsInfo, FromArgs};

/// The name of the program in its help and messages.
pub const PROGRAM: &str = "sockactors";

/// Run a server or client of one of four scenarios: greetings, datagrams, files, chat.
#[derive(Debug, Default, FromArgs, ArgsInfo)]
#[argh(
    help_triggers("-h", "--help"),
    note = "ENDPOINT is HOST:PORT, [V6]:PORT, :PORT (every interface), unix:PATH, unix:@NAME",
    note = "(abstract) or unix:PATH,mode=0660 (--listen). HOST alone has the default port.",
    note = "DUR and SIZE have units: 150ms, 30s, 15m; 1024, 64KiB, 64MiB. RATE is N/DUR or N/s.",
    note = "Text in parentheses at the end of a description is the default.",
    note = "Every flag has an environment variable: --max-conns is SOCKACTORS_MAX_CONNS.",
    note = "A flag wins. A variable holds 1 or 0 for a switch, and commas between repeated values.",
    error_code(1, "failed while running"),
    error_code(2, "usage error"),
    error_code(3, "could not connect or bind"),
    error_code(4, "timed out, or lost more replies than --max-loss allows"),
    error_code(5, "received data differs from the data sent"),
    error_code(6, "disk full or over quota"),
    error_code(130, "client interrupted by Ctrl-C")
)]
pub struct Args {
    /// scenario to run; short form: the first argument
    #[argh(option, arg_name = "tcp|udp|file|chat")]
    pub scenario: Option<String>,

    /// sides to run in this process (server; client with --connect)
    #[argh(option, arg_name = "server|client|both")]
    pub role: Option<String>,

    /// endpoint to listen on; repeatable (the default address)
    #[argh(option, arg_name = "ENDPOINT")]
    pub listen: Vec<String>,

    /// endpoint to connect to (the default address)
    #[argh(option, arg_name = "ENDPOINT")]
    pub connect: Option<String>,

    /// exit after serving N clients (no limit)
    #[argh(option, arg_name = "N")]
    pub clients: Option<String>,

    /// simultaneous connections at most (1024, or what memory permits)
    #[argh(option, arg_name = "N")]
    pub max_conns: Option<String>,

    /// the same per address or IPv6 /64; 0 is no limit (a quarter)
    #[argh(option, arg_name = "N")]
    pub max_per_ip: Option<String>,

    /// memory for all that clients make it hold (a quarter of RAM)
    #[argh(option, arg_name = "SIZE")]
    pub max_memory: Option<String>,

    /// length of the queue of connections to accept (128)
    #[argh(option, arg_name = "N")]
    pub backlog: Option<String>,

    /// timeout for the first byte of a connection, or off (off)
    #[argh(option, arg_name = "DUR")]
    pub first_timeout: Option<String>,

    /// timeout for a silent connection, or off (file 15m, chat off)
    #[argh(option, arg_name = "DUR")]
    pub idle_timeout: Option<String>,

    /// time for connections to finish after a stop signal (10s)
    #[argh(option, arg_name = "DUR")]
    pub drain_timeout: Option<String>,

    /// number of threads that run actors, from 1 to 64 (1)
    #[argh(option, arg_name = "N")]
    pub threads: Option<String>,

    /// text of the greeting, the reply, the request or the only chat line
    #[argh(option, arg_name = "TEXT")]
    pub message: Option<String>,

    /// number of requests to send; 0: until Ctrl-C (1)
    #[argh(option, arg_name = "N")]
    pub count: Option<String>,

    /// pause between two requests (1s)
    #[argh(option, arg_name = "DUR")]
    pub interval: Option<String>,

    /// timeout for a connection or a reply (10s)
    #[argh(option, arg_name = "DUR")]
    pub timeout: Option<String>,

    /// size of a request, from 0 to 65507 (size of the message)
    #[argh(option, arg_name = "BYTES")]
    pub size: Option<String>,

    /// simultaneous connections, without a pause by default (1)
    #[argh(option, arg_name = "N")]
    pub concurrency: Option<String>,

    /// replies that may be lost; more is exit code 4 (0)
    #[argh(option, arg_name = "PERCENT")]
    pub max_loss: Option<String>,

    /// size of the largest datagram that is read whole (1024)
    #[argh(option, arg_name = "BYTES")]
    pub buffer_size: Option<String>,

    /// replies per source /24 or IPv6 /56, or off (1000/s, not local)
    #[argh(option, arg_name = "RATE")]
    pub reply_rate: Option<String>,

    /// allow replies to other machines that are longer than the request
    #[argh(switch)]
    pub allow_amplification: bool,

    /// multicast group to join; repeatable
    #[argh(option, arg_name = "ADDR[%IFACE]")]
    pub join_group: Vec<String>,

    /// directory for received files (.)
    #[argh(option, arg_name = "DIR")]
    pub out: Option<String>,

    /// if a file name exists (fail)
    #[argh(option, arg_name = "fail|rename|overwrite|skip")]
    pub on_conflict: Option<String>,

    /// size limit of a file (no limit)
    #[argh(option, arg_name = "SIZE")]
    pub max_size: Option<String>,

    /// files and directories to create at most in one run (no limit)
    #[argh(option, arg_name = "N")]
    pub max_files: Option<String>,

    /// disk space to leave free, and 1 % of the inodes (64MiB)
    #[argh(option, arg_name = "SIZE")]
    pub keep_free: Option<String>,

    /// delete a partial file not continued for DUR; 0s is never (168h)
    #[argh(option, arg_name = "DUR")]
    pub part_ttl: Option<String>,

    /// minimum rate of a framed upload; 0 is no minimum (64B/s)
    #[argh(option, arg_name = "SIZE/s")]
    pub min_rate: Option<String>,

    /// send plain bytes without names, as netcat and the lecture do
    #[argh(switch)]
    pub raw: bool,

    /// reconnect, and continue a file at what arrived (auto)
    #[argh(option, arg_name = "auto|off")]
    pub resume: Option<String>,

    /// nickname (assigned by the server)
    #[argh(option, arg_name = "NAME")]
    pub nick: Option<String>,

    /// name of the default room, or the room to join (lobby)
    #[argh(option, arg_name = "ROOM")]
    pub room: Option<String>,

    /// dialect of the peers (auto: by the first bytes)
    #[argh(option, arg_name = "auto|lecture|line")]
    pub dialect: Option<String>,

    /// after a loss (auto: at a terminal, once joined)
    #[argh(option, arg_name = "auto|always|never")]
    pub reconnect: Option<String>,

    /// file with the password for /operator (no operators)
    #[argh(option, arg_name = "PATH")]
    pub operator_password_file: Option<String>,

    /// lines per room that /history shows at most (100)
    #[argh(option, arg_name = "N")]
    pub history: Option<String>,

    /// directory that keeps the history over restarts (none)
    #[argh(option, arg_name = "DIR")]
    pub history_dir: Option<String>,

    /// size limit of --history-dir, at least 1MiB (16MiB)
    #[argh(option, arg_name = "SIZE")]
    pub history_size: Option<String>,

    /// requests to send per second, or lines that a client may send
    #[argh(option, arg_name = "RATE")]
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

    /// use colors (auto)
    #[argh(option, arg_name = "auto|always|never")]
    pub color: Option<String>,

    /// never prompt for input
    #[argh(switch)]
    pub no_input: bool,

    /// crash an actor at its first N starts, as a test; repeatable
    #[argh(option, arg_name = "PATH[=N]")]
    pub drill: Vec<String>,

    /// print the completion script for a shell
    #[argh(option, arg_name = "bash|zsh|fish")]
    pub completions: Option<String>,

    /// print the version
    #[argh(switch, short = 'V')]
    pub version: bool,

    /// files and directories to send, - is stdin (asks for names)
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
