//! Delivery of reports to a slow receiver.

use std::sync::{Arc, Mutex};

use futures_lite::future::{block_on, poll_once, yield_now};

use crate::actors::support::report::*;
use crate::runtime::{Child, Outcome, Strategy, Supervisor, System};

#[test]
fn full_mailbox_delays_reports_in_order() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let receiver_log = received.clone();
    let receiver = tree.child(
        Child::new("receiver", move || {
            let received = receiver_log.clone();
            async move |mut ctx: crate::runtime::Context<Report>| -> Outcome {
                while let Some(report) = ctx.recv().await {
                    received.lock().unwrap().push(report);
                    yield_now().await;
                }
                Ok(())
            }
        })
        .mailbox(1),
    );
    let reporter = Reporter::new(receiver);
    let line = |number: u8| Report::ChatLine(number.to_string());
    let sender = Child::new("sender", move || {
        let reporter = reporter.clone();
        async move |_: crate::runtime::Context<()>| -> Outcome {
            for number in 0..20 {
                reporter.send(|| line(number)).await;
            }
            Ok(())
        }
    });
    tree.child(sender.transient().significant());
    System::new().run(tree).unwrap();
    assert_eq!(*received.lock().unwrap(), (0..20).map(line).collect::<Vec<_>>());
}

#[test]
fn full_mailbox_blocks_send_disabled_reporter_skips() {
    let address = Address::new(1);
    let reporter = Reporter::new(address.clone());
    block_on(reporter.send(|| Report::Ready));
    let pending = block_on(poll_once(reporter.send(|| Report::Ready)));
    assert!(pending.is_none() && address.len() == 1);
    block_on(Reporter::disabled().send(|| unreachable!("a disabled reporter builds no report")));
}
