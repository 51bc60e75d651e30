//! The least that receiving a file takes: a loop that moves bytes from a socket through a pipe into a file. And the least that
//! it takes where every byte is hashed: a loop that reads, hashes and writes.

use std::fs::File;
use std::io::{self, Read, Write};
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

/// Receives one file on a port by way of this process, hashes it, and ends.
pub fn receive_hashed(port: u16, to: &Path) -> io::Result<()> {
    let (mut stream, _) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.accept()?;
    let (mut file, mut hasher) = (File::create(to)?, blake3::Hasher::new());
    let mut buffer = vec![0; PIPE / 4];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        file.write_all(&buffer[..length])?;
    }
    println!("{}", hasher.finalize());
    Ok(())
}
