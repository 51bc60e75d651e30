//! Guesses of the operator password, in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockactors::actors::OperatorAuth;
use sockactors::net::Stream;
use sockactors::runtime::{Child, Context, Outcome, Supervisor};

use super::rates::{Chat, build_chat_with, connect, read_until};
use crate::support::simulation::drive;

/// The time for which the attackers guess.
const ATTACK: Duration = Duration::from_secs(3600);

fn build_chat(tree: &mut Supervisor) -> Chat {
    build_chat_with(tree, |limits| limits.operators = Some(OperatorAuth::new("sesame")))
}

#[test]
fn wrong_password_delays_answer_and_input() {
    drive(0, build_chat, async move |ctx: Context<()>, chat: Chat| -> Outcome {
        let (eve, bob) = (connect(&chat).await, connect(&chat).await);
        bob.write_all(b"/nick bob\n/ack off\n").await?;
        read_until(&bob, "receipts are off\n").await;
        let start = ctx.now();
        eve.write_all(b"/ack off\n/operator x\n/operator y\n/operator z\n").await?;
        read_until(&bob, "joined\n").await;
        bob.write_all(b"hello\n").await?;
        // A delayed session receives messages.
        read_until(&eve, "bob: hello\n").await;
        assert_eq!(ctx.now() - start, Duration::ZERO);
        for seconds in [1, 3] {
            read_until(&eve, "* wrong password\n").await;
            assert_eq!(ctx.now() - start, Duration::from_secs(seconds));
        }
        read_until(&eve, "3 wrong passwords; good bye\n").await;
        assert_eq!(ctx.now() - start, Duration::from_secs(7));
        Ok(())
    });
}

/// Guesses in one session after another, and counts the answers.
async fn guess(chat: &Chat, checked: &AtomicUsize) -> Outcome {
    loop {
        let peer: Stream = connect(chat).await;
        peer.write_all(format!("{}/quit\n", "/operator x\n".repeat(9)).as_bytes()).await?;
        let answers = read_until(&peer, "no such end").await;
        // The third one in a session has another answer.
        let answers =
            ["* wrong password\n", "after 3 wrong"].map(|text| answers.matches(text).count());
        checked.fetch_add(answers.iter().sum(), Ordering::SeqCst);
    }
}

#[test]
fn sessions_of_one_source_share_login_delay() {
    let checked = Arc::new(AtomicUsize::new(0));
    let count = checked.clone();
    drive(
        1,
        move |tree| {
            let chat = build_chat(tree);
            for attacker in 0..20 {
                let (chat, checked) = (chat.clone(), checked.clone());
                let attacker = Child::new(format!("attacker{attacker}"), move || {
                    let (chat, checked) = (chat.clone(), checked.clone());
                    async move |_: Context<()>| guess(&chat, &checked).await
                });
                tree.child(attacker.temporary());
            }
        },
        async move |ctx: Context<()>, ()| -> Outcome {
            ctx.sleep(ATTACK).await;
            Ok(())
        },
    );
    let checked = count.load(Ordering::SeqCst);
    // 63 seconds pass until the delay is a minute.
    let limit = 6 + ATTACK.as_secs() as usize / 60;
    assert!((limit / 2..=limit).contains(&checked), "{checked} passwords, instead of {limit}");
}
