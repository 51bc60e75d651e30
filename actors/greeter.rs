//! The greeter: says one text to a connection and closes it.
//!
//! Nearly every greeting finds room in the socket's buffer, and nothing unread behind it, so there is nothing to wait
//! for. What the others need to wait is made when they need it: so a greeter is small on its way to its task.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Connection, Reporter};
use crate::runtime::{Actor, Context, Outcome};

/// How long a peer may take to take the greeting, and then to stop talking.
const PATIENCE: Duration = Duration::from_secs(10);
const LINGER: Duration = Duration::from_secs(1);

/// What is told of a connection whose peer has its greeting.
const GREETED: Cow<'static, str> = Cow::Borrowed("greeted");

/// Says one text to a connection and closes it.
#[derive(Debug)]
pub struct Greeter {
    connection: Connection,
    greeting: Arc<[u8]>,
    reporter: Reporter,
}

impl Greeter {
    /// Makes a greeter of one connection.
    pub fn new(connection: Connection, greeting: Arc<[u8]>, reporter: Reporter) -> Greeter {
        Greeter { connection, greeting, reporter }
    }

    /// Says the rest of the greeting, behind so many bytes of it, and has the peer end its side where it talks; returns
    /// how that went.
    async fn wait(&self, ctx: &Context<()>, said: usize) -> Cow<'static, str> {
        let stream = &self.connection.stream;
        match ctx.within(PATIENCE, stream.write_all(&self.greeting[said..])).await {
            Some(Ok(())) => {
                // A peer that is gone already has what it wanted, or wants nothing.
                if stream.unread().is_ok_and(|unread| unread > 0) {
                    let _ = stream.end(LINGER).await;
                }
                GREETED
            }
            Some(Err(error)) => error.to_string().into(),
            None => "it does not take the greeting".into(),
        }
    }
}

impl Actor for Greeter {
    type Message = ();

    async fn run(self, ctx: Context<()>) -> Outcome {
        let presence = self.connection.announce(&self.reporter).await;
        let stream = &self.connection.stream;
        let why = match stream.try_write(&self.greeting) {
            Ok(said) if said == self.greeting.len() && matches!(stream.unread(), Ok(0)) => GREETED,
            Ok(said) => Box::pin(self.wait(&ctx, said)).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Box::pin(self.wait(&ctx, 0)).await
            }
            Err(error) => error.to_string().into(),
        };
        // Closed before anybody is told so, who may have the teller wait.
        drop(self.connection);
        presence.end(why).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;
    use crate::net::Stream;
    use crate::runtime::{Child, Strategy, Supervisor, System};

    #[test]
    fn a_greeting_beyond_the_buffer_arrives_whole_and_who_talks_meanwhile_is_not_reset() {
        let (stream, peer) = Stream::pair().unwrap();
        let greeting: Arc<[u8]> = (0..1 << 20).map(|k: u32| k.to_be_bytes()[2]).collect();
        smol::block_on(peer.write_all(b"I talk first")).unwrap();
        let said = greeting.clone();
        let peer = thread::spawn(move || {
            smol::block_on(async {
                let (mut heard, mut buf) = (Vec::new(), [0; 4096]);
                loop {
                    match peer.read(&mut buf).await {
                        Ok(0) => return heard == *said,
                        Ok(length) => heard.extend_from_slice(&buf[..length]),
                        Err(error) => panic!("after {} bytes: {error}", heard.len()),
                    }
                }
            })
        });
        let connection = Connection { stream, number: 0, visit: None };
        let greeter = Mutex::new(Some(Greeter::new(connection, greeting, Reporter::nobody())));
        let mut tree = Supervisor::new("t", Strategy::OneForOne);
        let make = move || greeter.lock().unwrap().take().expect("it is made once");
        tree.child(Child::new("greeter", make).transient().significant());
        System::new().run(tree).unwrap();
        assert!(peer.join().unwrap(), "it heard something else");
    }
}
