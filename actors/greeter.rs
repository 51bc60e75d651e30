//! The greeter: says one text to a connection and closes it.

use std::sync::Arc;
use std::time::Duration;

use super::{Connection, Reporter};
use crate::runtime::{Actor, Context, Outcome};

/// How long a peer may take to take the greeting, and then to stop talking.
const PATIENCE: Duration = Duration::from_secs(10);
const LINGER: Duration = Duration::from_secs(1);

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

impl Actor for Greeter {
    type Message = ();

    async fn run(self, ctx: Context<()>) -> Outcome {
        let presence = self.connection.announce(&self.reporter).await;
        let stream = self.connection.stream;
        let why = match ctx.within(PATIENCE, stream.write_all(&self.greeting)).await {
            Some(Ok(())) => {
                // A peer that is gone already has what it wanted, or wants nothing.
                let _ = stream.close(LINGER).await;
                "greeted".into()
            }
            Some(Err(error)) => error.to_string(),
            None => "it does not take the greeting".into(),
        };
        presence.end(why).await;
        Ok(())
    }
}
