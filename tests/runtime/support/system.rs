//! A system on its own thread, checked by its lifecycle events.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use sockactors::runtime::{
    Context, Exit, Handle, Lifecycle, Outcome, StopReason, Supervisor, System,
};

/// The time limit of a wait. Only a defect reaches it.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A system on its own thread, with its lifecycle events.
pub struct Running {
    pub handle: Handle,
    events: Receiver<Lifecycle>,
    thread: Option<thread::JoinHandle<Result<StopReason, Exit>>>,
    pub seen: Vec<String>,
}

impl Running {
    pub fn start(tree: Supervisor) -> Running {
        Running::start_with(System::new(), tree)
    }

    pub fn start_with(system: System, tree: Supervisor) -> Running {
        let (sender, events) = async_channel::unbounded();
        let system = system.observe(move |event| drop(sender.try_send(event.clone())));
        let handle = system.handle();
        let thread = Some(thread::spawn(move || system.run(tree)));
        Running { handle, events, thread, seen: Vec::new() }
    }

    /// Waits for an event with this text.
    pub fn wait_for(&mut self, text: &str) {
        loop {
            let event =
                smol::block_on(smol::future::or(async { self.events.recv().await.ok() }, async {
                    smol::Timer::after(TIMEOUT).await;
                    None
                }));
            let Some(event) = event else {
                panic!("'{text}' did not happen; seen: {:#?}", self.seen);
            };
            self.seen.push(event.to_string());
            if event.to_string().contains(text) {
                return;
            }
        }
    }

    pub fn end(&mut self) -> Result<StopReason, Exit> {
        let result = self.thread.take().unwrap().join().unwrap();
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event.to_string());
        }
        result
    }

    pub fn stop(&mut self) -> Result<StopReason, Exit> {
        self.handle.stop();
        self.end()
    }

    /// Returns the events that contain one of `words`, in order.
    pub fn seen_with(&self, words: &[&str]) -> Vec<&str> {
        let wanted = |event: &&String| words.iter().any(|word| event.contains(word));
        self.seen.iter().filter(wanted).map(String::as_str).collect()
    }
}

/// An actor that runs until it is stopped.
pub async fn live(mut ctx: Context<()>) -> Outcome {
    ctx.stopped().await;
    Ok(())
}
