//! The least that receiving a file takes: a loop that moves bytes from a socket through a pipe into a file.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

const PIPE: usize = 1 << 20;

/// Receives one file on a port, and ends. With `sync` it is on the disk then.
pub fn receive(port: u16, to: &Path, sync: bool) -> io::Result<()> {
    let (stream, _) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.accept()?;
    let file = File::create(to)?;
    let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setpipe_size(&into, PIPE)?;
    loop {
        let mut filled = splice(&stream, None, &into, None, PIPE, SpliceFlags::MOVE)?;
        if filled == 0 {
            break;
        }
        while filled > 0 {
            filled -= splice(&out, None, &file, None, filled, SpliceFlags::MOVE)?;
        }
    }
    if sync {
        file.sync_all()?;
    }
    Ok(())
}
