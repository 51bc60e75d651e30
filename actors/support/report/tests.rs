//! A report's way to a narrator that is slow.

use std::sync::{Arc, Mutex};

use futures_lite::future::{block_on, poll_once, yield_now};

use crate::actors::support::report::*;
use crate::runtime::{Child, Outcome, Strategy, Supervisor, System};

#[test]
fn a_report_that_finds_no_room_waits_and_none_is_lost_or_overtaken() {
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
    let line = |number: u8| Report::Line(number.to_string());
    let teller = Child::new("teller", move || {
        let reporter = reporter.clone();
        async move |_: crate::runtime::Context<()>| -> Outcome {
            for number in 0..20 {
                reporter.tell(|| line(number)).await;
            }
            Ok(())
        }
    });
    tree.child(teller.transient().significant());
    System::new().run(tree).unwrap();
    assert_eq!(*heard.lock().unwrap(), (0..20).map(line).collect::<Vec<_>>());
}

#[test]
fn a_report_waits_for_room_as_long_as_it_is_awaited_and_is_not_made_for_nobody() {
    let address = Address::new(1);
    let reporter = Reporter::new(address.clone());
    block_on(reporter.tell(|| Report::Ready));
    let waiting = block_on(poll_once(reporter.tell(|| Report::Ready)));
    assert!(waiting.is_none() && address.len() == 1);
    block_on(Reporter::nobody().tell(|| unreachable!("nobody hears it")));
}
