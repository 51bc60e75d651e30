//! Bare receivers: a loop of `splice` from a socket through a pipe to a file, and a loop of `read`,
//! hash and `write`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

const PIPE_SIZE: usize = 1 << 20;

/// Receives one file on a port. With `sync` the file is flushed to disk.
pub fn receive(port: u16, to: &Path, sync: bool) -> io::Result<()> {
    let (stream, _) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.accept()?;
    let file = File::create(to)?;
    let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setpipe_size(&into, PIPE_SIZE)?;
    loop {
        let mut filled = splice(&stream, None, &into, None, PIPE_SIZE, SpliceFlags::MOVE)?;
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

/// Receives one file on a port with `read`, `write` and a hash.
pub fn receive_hashed(port: u16, to: &Path) -> io::Result<()> {
    let (mut stream, _) = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.accept()?;
    let (mut file, mut hasher) = (File::create(to)?, blake3::Hasher::new());
    let mut buffer = vec![0; PIPE_SIZE / 4];
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
