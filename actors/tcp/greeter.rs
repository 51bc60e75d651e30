//! The greeter: sends one text to a connection and closes it.
//!
//! Usually the greeting fits into the socket's send buffer and the client has sent nothing, so
//! there is nothing to wait for. The future of the slow path is allocated only when it is needed,
//! which keeps the greeter's own future small.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::support::accepted_connection::Connection;
use crate::actors::support::report::Reporter;
use crate::net::Stream;
use crate::runtime::{Actor, Context, Outcome};

/// The time limit for sending a greeting.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit for the client to close its side after the greeting.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// The reason reported for the end of a connection whose greeting was sent.
const GREETED: Cow<'static, str> = Cow::Borrowed("greeted");

/// An actor that sends one text to a connection and closes it.
#[derive(Debug)]
pub struct Greeter {
    connection: Connection,
    greeting: Arc<[u8]>,
    reporter: Reporter,
}

impl Greeter {
    /// Creates a greeter for one connection.
    pub fn new(connection: Connection, greeting: Arc<[u8]>, reporter: Reporter) -> Greeter {
        Greeter { connection, greeting, reporter }
    }
}

/// Sends the remainder of a greeting, then drains and closes the stream. Returns the reason of the
/// end.
async fn finish_greeting(
    ctx: &Context<()>,
    stream: &Stream,
    remainder: &[u8],
) -> Cow<'static, str> {
    match ctx.timeout(WRITE_TIMEOUT, stream.write_all(remainder)).await {
        Some(Ok(())) => {
            // An error means that the client has closed. That is no failure of the greeter.
            let _ = stream.linger_close(LINGER_TIMEOUT).await;
            GREETED
        }
        Some(Err(error)) => error.to_string().into(),
        None => "timed out while sending the greeting".into(),
    }
}

impl Actor for Greeter {
    type Message = ();

    fn run(self, ctx: Context<()>) -> impl Future<Output = Outcome> + Send {
        // An `async fn` would store its arguments twice: as passed, and destructured.
        let Greeter { connection, greeting, reporter } = self;
        async move {
            let guard = connection.report_connected(&reporter).await;
            let stream = &connection.stream;
            let reason = match stream.try_write(&greeting) {
                Ok(sent) if sent == greeting.len() && matches!(stream.try_close(), Ok(true)) => {
                    GREETED
                }
                Ok(sent) => Box::pin(finish_greeting(&ctx, stream, &greeting[sent..])).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Box::pin(finish_greeting(&ctx, stream, &greeting)).await
                }
                Err(error) => error.to_string().into(),
            };
            // The connection is closed first, because the report may wait for a full mailbox.
            drop(connection);
            guard.report_disconnected(reason).await;
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
        let connection = Connection::unlimited(stream);
        let greeter = Greeter::new(connection, Arc::new([]), Reporter::disabled());
        let field_size = size_of_val(&greeter) + size_of::<Context<()>>();
        let run: fn(Greeter, Context<()>) -> _ = Greeter::run;
        let size = future_size(run);
        assert!(size <= field_size + 128, "{size} bytes for {field_size} bytes of fields");
    }

    fn future_size<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn large_greeting_with_unread_input_arrives_whole() {
        let (stream, peer) = Stream::pair().unwrap();
        let greeting: Arc<[u8]> = (0..1 << 20).map(|k: u32| k.to_be_bytes()[2]).collect();
        smol::block_on(peer.write_all(b"unread input")).unwrap();
        let expected = greeting.clone();
        let peer = thread::spawn(move || {
            smol::block_on(async {
                let (mut received, mut buf) = (Vec::new(), [0; 4096]);
                loop {
                    match peer.read(&mut buf).await {
                        Ok(0) => return received == *expected,
                        Ok(length) => received.extend_from_slice(&buf[..length]),
                        Err(error) => panic!("after {} bytes: {error}", received.len()),
                    }
                }
            })
        });
        let connection = Connection::unlimited(stream);
        let greeter = Mutex::new(Some(Greeter::new(connection, greeting, Reporter::disabled())));
        let mut tree = Supervisor::new("t", Strategy::OneForOne);
        let make = move || greeter.lock().unwrap().take().expect("the greeter starts once");
        tree.child(Child::new("greeter", make).transient().significant());
        System::new().run(tree).unwrap();
        assert!(peer.join().unwrap(), "the peer received something else");
    }
}
