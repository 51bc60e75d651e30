//! The greeter: says one text to a connection and closes it.
//!
//! Nearly every greeting finds room in the socket's buffer, and nothing unread behind it, so there is nothing to wait
//! for. What the others need to wait is made when they need it: so a greeter is small on its way to its task.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::{Connection, Reporter};
use crate::net::Stream;
use crate::runtime::{Actor, Context, Outcome};

/// How long a peer may take to take the greeting, and then to stop talking.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

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
}

/// Says the rest of a greeting, and has the peer end its side where it talks; returns how that went.
async fn finish_greeting(ctx: &Context<()>, stream: &Stream, rest: &[u8]) -> Cow<'static, str> {
    match ctx.timeout(WRITE_TIMEOUT, stream.write_all(rest)).await {
        Some(Ok(())) => {
            // A peer that is gone already has what it wanted, or wants nothing.
            let _ = stream.linger_close(LINGER_TIMEOUT).await;
            GREETED
        }
        Some(Err(error)) => error.to_string().into(),
        None => "it does not take the greeting".into(),
    }
}

impl Actor for Greeter {
    type Message = ();

    fn run(self, ctx: Context<()>) -> impl Future<Output = Outcome> + Send {
        // An `async fn` would hold its arguments twice: as they came, and as it uses them.
        let Greeter { connection, greeting, reporter } = self;
        async move {
            let presence = connection.report_connected(&reporter).await;
            let stream = &connection.stream;
            let why = match stream.try_write(&greeting) {
                Ok(said) if said == greeting.len() && matches!(stream.try_close(), Ok(true)) => {
                    GREETED
                }
                Ok(said) => Box::pin(finish_greeting(&ctx, stream, &greeting[said..])).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Box::pin(finish_greeting(&ctx, stream, &greeting)).await
                }
                Err(error) => error.to_string().into(),
            };
            // Closed before anybody is told so, who may have the teller wait.
            drop(connection);
            presence.report_disconnected(why).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;
    use crate::runtime::{Child, Strategy, Supervisor, System};

    #[test]
    fn greeter_future_stays_near_field_size() {
        let (stream, _) = Stream::pair().unwrap();
        let connection = Connection { stream, number: 0, ip_permit: None };
        let greeter = Greeter::new(connection, Arc::new([]), Reporter::disabled());
        let made_of = size_of_val(&greeter) + size_of::<Context<()>>();
        let run: fn(Greeter, Context<()>) -> _ = Greeter::run;
        let length = future_size(run);
        assert!(length <= made_of + 128, "{length} bytes, made of {made_of}");
    }

    fn future_size<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn large_greeting_with_unread_input_arrives_whole() {
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
        let connection = Connection { stream, number: 0, ip_permit: None };
        let greeter = Mutex::new(Some(Greeter::new(connection, greeting, Reporter::disabled())));
        let mut tree = Supervisor::new("t", Strategy::OneForOne);
        let make = move || greeter.lock().unwrap().take().expect("it is made once");
        tree.child(Child::new("greeter", make).transient().significant());
        System::new().run(tree).unwrap();
        assert!(peer.join().unwrap(), "it heard something else");
    }
}
