//! The file with the password of chat operators, which can be read again while the server runs.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::actors::OperatorAuth;
use crate::scenario::error::BuildError;

/// The maximum length of the operators' password, in bytes.
const MAX_PASSWORD_LEN: u64 = 1024;

/// The file with the password of chat operators, and the password in use.
#[derive(Debug, Clone)]
pub struct OperatorPasswordFile {
    path: PathBuf,
    auth: OperatorAuth,
}

impl OperatorPasswordFile {
    /// Reads the password from the only line of a file.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, or is not one line of at most 1024 bytes.
    pub fn open(path: &Path) -> Result<OperatorPasswordFile, BuildError> {
        let auth = OperatorAuth::new(&read_password(path).map_err(|error| failed(path, error))?);
        Ok(OperatorPasswordFile { path: path.to_owned(), auth })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the password in use.
    pub(super) fn auth(&self) -> OperatorAuth {
        self.auth.clone()
    }

    /// Reads the file again. Members that are operators already remain so.
    ///
    /// # Errors
    ///
    /// Fails like [`open`](OperatorPasswordFile::open), and for a pipe, which cannot be read twice.
    /// The old password stays in use then.
    pub fn reload(&self) -> Result<(), BuildError> {
        let read = || match self.path.metadata()?.is_file() {
            true => read_password(&self.path),
            false => Err(invalid("it is not a regular file, and cannot be read again")),
        };
        self.auth.set_password(&read().map_err(|error| failed(&self.path, error))?);
        Ok(())
    }
}

fn read_password(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_PASSWORD_LEN + 1).read_to_string(&mut text)?;
    let password = text.trim_end_matches(['\r', '\n']);
    match password {
        "" => Err(invalid("the file is empty; write the password on its first line")),
        long if long.len() as u64 > MAX_PASSWORD_LEN => {
            Err(invalid("the password is longer than 1024 bytes"))
        }
        lines if lines.contains('\n') => Err(invalid("the file has more than one line")),
        password => Ok(password.trim().to_owned()),
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn failed(path: &Path, source: io::Error) -> BuildError {
    BuildError::Password { path: path.to_owned(), source }
}
