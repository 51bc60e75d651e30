//! A report's way to a narrator that is slow.

use std::sync::{Arc, Mutex};

use futures_lite::future::{block_on, poll_once, yield_now};

use crate::actors::support::report::*;
use crate::runtime::{Child, Outcome, Strategy, Supervisor, System};

#[test]
fn full_mailbox_delays_reports_in_order() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let hears = heard.clone();
    let narrator = tree.child(
        Child::new("narrator", move || {
            let heard = hears.clone();
            async move |mut ctx: crate::runtime::Context<Report>| -> Outcome {
                while let Some(report) = ctx.recv().await {
                    heard.lock().unwrap().push(report);
                    yield_now().await;
                }
                Ok(())
            }
        })
        .mailbox(1),
    );
    let reporter = Reporter::new(narrator);
    let line = |number: u8| Report::ChatLine(number.to_string());
    let teller = Child::new("teller", move || {
        let reporter = reporter.clone();
        async move |_: crate::runtime::Context<()>| -> Outcome {
            for number in 0..20 {
                reporter.send(|| line(number)).await;
            }
            Ok(())
        }
    });
    tree.child(teller.transient().significant());
    System::new().run(tree).unwrap();
    assert_eq!(*heard.lock().unwrap(), (0..20).map(line).collect::<Vec<_>>());
}

#[test]
fn full_mailbox_blocks_send_disabled_reporter_skips() {
    let address = Address::new(1);
    let reporter = Reporter::new(address.clone());
    block_on(reporter.send(|| Report::Ready));
    let waiting = block_on(poll_once(reporter.send(|| Report::Ready)));
    assert!(waiting.is_none() && address.len() == 1);
    block_on(Reporter::disabled().send(|| unreachable!("nobody hears it")));
}
