//! The lecture dialect: a session with a lecture client.
//!
//! Each chunk is answered with the receipt and nothing else, so that the client's lock-step
//! holds. Its texts are published to the default room. What is longer than a line of the other
//! clients counts as several chunks.

use crate::actors::chat::manager::request::JoinRequest;
use crate::actors::chat::session::io::{SessionEvent, WaitFor};
use crate::actors::chat::session::state::{Session, check_event};
use crate::wire::chat::{ACK_PREFIX, MAX_LINE_LEN};
use crate::wire::utf8::Utf8Decoder;

impl Session {
    /// Serves a lecture client until it leaves. Returns the reason why the session ends.
    pub(crate) async fn run_lecture(&mut self, first_chunk: Vec<u8>) -> String {
        let request = JoinRequest {
            nick: None,
            room: None,
            quiet: true,
            ip: self.peer_ip(),
            session: Some(self.ctx.address()),
        };
        // The subscription is dropped: a lecture client is never sent others' messages.
        let member = match self.join(request).await {
            Ok((member, _)) => member,
            Err(reason) => return reason,
        };
        let mut decoder = Utf8Decoder::default();
        let mut input = first_chunk;
        let mut is_first = true;
        loop {
            let rest = input.split_off(input.len().min(MAX_LINE_LEN));
            let text = decoder.push(&input);
            self.record_input(&text);
            // A lecture client is not told about errors, not even that it is muted.
            let _ = self.send_message(&member, None, &text).await;
            self.io.outbox.push(format!("{ACK_PREFIX}{text}"));
            if let Some(ready_at) = self.input_ready_at() {
                if let Err(reason) = self.pause(None, ready_at).await {
                    return reason;
                }
            }
            input = rest;
            if !input.is_empty() {
                continue;
            }
            input = match self.next_input().await {
                Ok(input) => input,
                Err(reason) => return reason,
            };
            if std::mem::take(&mut is_first) && input.starts_with(b"\n") {
                // Not from a lecture client. It is the delayed end of a first line.
                drop(member);
                self.io.outbox.push("\n");
                return match self.start_line_session(&input[1..]).await {
                    Ok(mut line_session) => self.run_lines(&mut line_session).await,
                    Err(reason) => reason,
                };
            }
        }
    }

    /// Waits for input. The error is the reason why the session ends.
    async fn next_input(&mut self) -> Result<Vec<u8>, String> {
        loop {
            let mut input = Vec::new();
            let wait_for = WaitFor {
                subscription: None,
                verbatim: true,
                input: true,
                flushed: false,
                deadline: self.idle_deadline(),
            };
            let on_input = |bytes: &[u8]| input.extend_from_slice(bytes);
            match self.io.next(&mut self.ctx, wait_for, on_input).await {
                SessionEvent::TimedOut => return Err(self.idle_reason()),
                SessionEvent::Input(0) => return Err("closed by peer".into()),
                SessionEvent::Input(_) => {
                    self.last_input = self.ctx.now();
                    return Ok(input);
                }
                event => check_event(event)?,
            }
        }
    }
}
