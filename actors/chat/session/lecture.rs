//! A chat session with a lecture client.
//!
//! It is served chunk by chunk, with the receipt and nothing else, so that its lock-step is not broken; what it says
//! is heard in the room too.

use crate::actors::chat::session::Session;
use crate::actors::chat::session::io::{Happened, Wants};
use crate::actors::{Coming, ToSession};
use crate::wire::chat::{ACK_PREFIX, Utf8Decoder};

impl Session {
    /// Serves a lecture client until it closes; returns why it ended.
    pub(crate) async fn lecture(&mut self, first: Vec<u8>) -> String {
        // It is never sent what others say, so it does not listen either.
        let coming = Coming {
            nick: None,
            room: None,
            quiet: true,
            address: self.address(),
            session: Some(self.ctx.address()),
        };
        let member = match self.come(coming).await {
            Ok((member, _)) => member,
            Err(why) => return why,
        };
        let mut chunks = Utf8Decoder::default();
        let mut chunk = first;
        let mut is_first = true;
        loop {
            let text = chunks.push(&chunk);
            // A lecture client is told nothing, not even that it is muted.
            let _ = self.say(&member, None, &text).await;
            self.talk.outbox.push(format!("{ACK_PREFIX}{text}"));
            chunk = match self.next_chunk().await {
                Ok(chunk) => chunk,
                Err(why) => return why,
            };
            if std::mem::take(&mut is_first) && chunk.starts_with(b"\n") {
                // No lecture client sends this: it is the end of a line that was late on its way.
                drop(member);
                self.talk.outbox.push("\n");
                return match self.enter(&chunk[1..]).await {
                    Ok(mut speaker) => self.lines(&mut speaker).await,
                    Err(why) => why,
                };
            }
        }
    }

    async fn next_chunk(&mut self) -> Result<Vec<u8>, String> {
        loop {
            let mut chunk = Vec::new();
            let wants = Wants {
                ear: None,
                plain: true,
                input: true,
                written: false,
                until: self.idle_until(),
            };
            let take = |more: &[u8]| chunk.extend_from_slice(more);
            match self.talk.next(&mut self.ctx, wants, take).await {
                Happened::Stop => return Err("the server stops".into()),
                // Answers are for sessions in lines; a lecture client gets its receipts alone.
                Happened::Mail(ToSession::Line(_)) | Happened::Heard | Happened::Written => {}
                Happened::Mail(ToSession::End(why)) => return Err(why),
                Happened::Broken(error) => return Err(error.to_string()),
                Happened::Late => return Err(self.idle()),
                Happened::Input(0) => return Err("closed by peer".into()),
                Happened::Input(_) => {
                    self.heard_at = self.ctx.now();
                    return Ok(chunk);
                }
            }
        }
    }
}
