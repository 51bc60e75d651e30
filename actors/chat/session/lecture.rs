//! A chat session with a lecture client.
//!
//! It is served chunk by chunk, with the receipt and nothing else, so that its lock-step is not broken; what it says
//! is heard in the room too.

use crate::actors::chat::session::Session;
use crate::actors::chat::session::io::{SessionEvent, WaitFor};
use crate::actors::{JoinRequest, SessionMessage};
use crate::wire::chat::ACK_PREFIX;
use crate::wire::utf8::Utf8Decoder;

impl Session {
    /// Serves a lecture client until it closes; returns why it ended.
    pub(crate) async fn run_lecture(&mut self, first: Vec<u8>) -> String {
        // It is never sent what others say, so it does not listen either.
        let coming = JoinRequest {
            nick: None,
            room: None,
            quiet: true,
            ip: self.peer_ip(),
            session: Some(self.ctx.address()),
        };
        let member = match self.join(coming).await {
            Ok((member, _)) => member,
            Err(why) => return why,
        };
        let mut chunks = Utf8Decoder::default();
        let mut chunk = first;
        let mut is_first = true;
        loop {
            let text = chunks.push(&chunk);
            // A lecture client is told nothing, not even that it is muted.
            let _ = self.send_message(&member, None, &text).await;
            self.io.outbox.push(format!("{ACK_PREFIX}{text}"));
            chunk = match self.next_chunk().await {
                Ok(chunk) => chunk,
                Err(why) => return why,
            };
            if std::mem::take(&mut is_first) && chunk.starts_with(b"\n") {
                // No lecture client sends this: it is the end of a line that was late on its way.
                drop(member);
                self.io.outbox.push("\n");
                return match self.start_line_session(&chunk[1..]).await {
                    Ok(mut speaker) => self.run_lines(&mut speaker).await,
                    Err(why) => why,
                };
            }
        }
    }

    async fn next_chunk(&mut self) -> Result<Vec<u8>, String> {
        loop {
            let mut chunk = Vec::new();
            let wants = WaitFor {
                subscription: None,
                verbatim: true,
                input: true,
                flushed: false,
                deadline: self.idle_deadline(),
            };
            let take = |more: &[u8]| chunk.extend_from_slice(more);
            match self.io.next(&mut self.ctx, wants, take).await {
                SessionEvent::Stop => return Err("the server stops".into()),
                // Answers are for sessions in lines; a lecture client gets its receipts alone.
                SessionEvent::Message(SessionMessage::Notice(_))
                | SessionEvent::RoomActivity
                | SessionEvent::Flushed => {}
                SessionEvent::Message(SessionMessage::Close(why)) => return Err(why),
                SessionEvent::IoError(error) => return Err(error.to_string()),
                SessionEvent::TimedOut => return Err(self.idle_reason()),
                SessionEvent::Input(0) => return Err("closed by peer".into()),
                SessionEvent::Input(_) => {
                    self.last_input = self.ctx.now();
                    return Ok(chunk);
                }
            }
        }
    }
}
