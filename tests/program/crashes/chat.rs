//! Crashes in a chat: the room manager, a session, the listener, and the manager under load.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Barrier};
use std::thread;

use sockactors::actors::Report;
use sockactors::scenario::Scenario;

use super::support::{InProcessScenario, server, wait_until};
use crate::support::chat_client::{LineClient, acknowledgement, connect};

/// Connects, takes a nick, and joins the room.
#[track_caller]
fn member(at: &str, nick: &str) -> LineClient {
    let mut line = LineClient::connect(at);
    line.send(format!("/nick {nick}"));
    line.wait_for(|line| line.starts_with(&format!("* you are {nick} in ")));
    line
}

#[track_caller]
fn who(line: &mut LineClient) -> String {
    line.send("/who");
    line.wait_for(|line| line.starts_with("* in "))
}

#[test]
fn messages_during_manager_restart_arrive_in_order() {
    let mut drill = InProcessScenario::start(&server(Scenario::Chat));
    let (mut ada, mut bob) = (member(&drill.endpoint, "ada"), member(&drill.endpoint, "bob"));
    let mut lecture = connect(&drill.endpoint);
    let mut answer = [0; 1024];
    let mut ask = move |text: &str| {
        lecture.write_all(text.as_bytes()).unwrap();
        let n = lecture.read(&mut answer).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer[..n]), acknowledgement(text));
    };
    ask("from the lecture");
    bob.wait_for_message("from the lecture");

    drill.crash_and_hold("room");
    for k in 0..20 {
        ada.send(format!("line {k}"));
    }
    ada.wait_for_line(&acknowledgement("line 19"));
    ask("lecture 1");
    ask("lecture 2");
    for k in 0..20 {
        assert_eq!(bob.wait_for(|line| line.contains(": ")), format!("ada: line {k}"));
    }
    bob.wait_for_message("lecture 1");
    bob.wait_for_message("lecture 2");
    // No message waits for the manager.
    assert_eq!(drill.queued_messages("room"), 0);
    drill.release_restart("room");
    let received = bob.received();
    assert!(!received.contains("left") && !received.contains("missed"), "{received}");
    drill.stop(&[("room", 1)]);
}

#[test]
fn members_and_nicks_survive_manager_crash() {
    let mut drill = InProcessScenario::start(&server(Scenario::Chat));
    let (mut ada, mut bob) = (member(&drill.endpoint, "ada"), member(&drill.endpoint, "bob"));
    bob.send("/nick robert");
    bob.wait_for_line("* you are now robert");
    drill.crash("room");
    assert_eq!(who(&mut ada), "* in lobby: ada, robert");
    bob.send("/nick ada");
    bob.wait_for(|line| line.contains("the name ada is taken"));
    let mut late = LineClient::connect(&drill.endpoint);
    late.send("/nick Robert");
    late.wait_for(|line| line.contains("the name Robert is taken"));
    bob.send("still robert");
    assert_eq!(ada.wait_for_message("still robert"), "robert");
    drill.stop(&[("room", 1)]);
}

#[test]
fn requests_during_manager_restart_are_answered() {
    let mut drill = InProcessScenario::start(&server(Scenario::Chat));
    let mut ada = member(&drill.endpoint, "ada");
    let mut bob = member(&drill.endpoint, "bob");
    drill.crash_and_hold("room");
    ada.send("/who");
    bob.send("/nick robert");
    let mut eve = LineClient::connect(&drill.endpoint);
    eve.send("/nick eve");
    wait_until("three questions to wait", || drill.queued_messages("room") == 3);
    drill.release_restart("room");
    ada.wait_for(|line| line.starts_with("* in lobby: ada, "));
    bob.wait_for_line("* you are now robert");
    eve.wait_for(|line| line.starts_with("* you are eve in lobby, with 2 others"));
    drill.stop(&[("room", 1)]);
}

#[test]
fn leave_during_manager_restart_follows_messages() {
    let mut drill = InProcessScenario::start(&server(Scenario::Chat));
    let (mut ada, bob) = (member(&drill.endpoint, "ada"), member(&drill.endpoint, "bob"));
    let mut bob = Some(bob);
    drill.crash_and_hold("room");
    let mut chatty = bob.take().unwrap();
    for k in 0..60 {
        chatty.send(format!("bye {k}"));
    }
    chatty.send("/quit");
    for k in 0..60 {
        assert_eq!(ada.wait_for(|line| line.contains("bye")), format!("bob: bye {k}"));
    }
    chatty.read_to_end();
    drill.release_restart("room");
    ada.wait_for_line("* bob left");
    assert_eq!(who(&mut ada), "* in lobby: ada");
    drill.stop(&[("room", 1)]);
}

/// Reads until `count` members have joined or left, alone or together with others.
fn wait_for_changes(client: &mut LineClient, verb: &str, mut count: usize) {
    while count > 0 {
        let line = client.wait_for(|line| line.starts_with("* ") && line.ends_with(verb));
        let (named, others) = line.rsplit_once(" and ").unwrap_or((&line, "0"));
        let others: usize = others.split(' ').next().unwrap().parse().unwrap();
        count -= named.split(", ").count() + others;
    }
}

#[test]
fn leave_with_full_manager_mailbox_is_announced() {
    let mut drill = InProcessScenario::start(&server(Scenario::Chat));
    let mut ada = member(&drill.endpoint, "ada");
    let mut crowd: Vec<_> = (0..64).map(|k| member(&drill.endpoint, &format!("m{k}"))).collect();
    let mut bob = member(&drill.endpoint, "bob");
    wait_for_changes(&mut ada, "joined", 65);
    drill.crash_and_hold("room");
    crowd.iter_mut().for_each(|one| one.send("/rooms"));
    wait_until("a full mailbox", || drill.queued_messages("room") == 64);
    bob.send("/quit");
    bob.read_to_end();
    drill.release_restart("room");
    ada.wait_for_line("* bob left");
    crowd.iter_mut().for_each(|one| drop(one.wait_for(|line| line.starts_with("* rooms: "))));
    drill.stop(&[("room", 1)]);
}

#[test]
fn leaves_during_manager_restart_are_announced() {
    let mut drill = InProcessScenario::start(&server(Scenario::Chat));
    let mut ada = member(&drill.endpoint, "ada");
    let crowd: Vec<_> = (0..70).map(|k| member(&drill.endpoint, &format!("m{k}"))).collect();
    wait_for_changes(&mut ada, "joined", 70);
    drill.crash_and_hold("room");
    for mut one in crowd {
        one.send("/quit");
        one.read_to_end();
    }
    // Departures do not take space in the mailbox.
    assert_eq!(drill.queued_messages("room"), 0);
    drill.release_restart("room");
    wait_for_changes(&mut ada, "left", 70);
    assert_eq!(who(&mut ada), "* in lobby: ada");
    drill.stop(&[("room", 1)]);
}

#[test]
fn crashed_session_leaves_and_frees_nick() {
    let mut drill = InProcessScenario::start(&server(Scenario::Chat));
    let mut ada = member(&drill.endpoint, "ada");
    let mut bob = member(&drill.endpoint, "bob");
    let mut eve = member(&drill.endpoint, "eve");
    drill.crash_until_given_up("sessions/1");
    bob.read_to_end();
    ada.wait_for_line("* bob left");
    eve.wait_for_line("* bob left");
    assert_eq!(who(&mut ada), "* in lobby: ada, eve");
    let mut second = member(&drill.endpoint, "bob");
    second.send("here I am again");
    assert_eq!(ada.wait_for_message("here I am again"), "bob");
    eve.send("hello bob");
    assert_eq!(second.wait_for_message("hello bob"), "eve");
    drill.stop(&[]);
}

#[test]
fn members_chat_while_listener_is_down() {
    let mut drill = InProcessScenario::start(&server(Scenario::Chat));
    let (mut ada, mut bob) = (member(&drill.endpoint, "ada"), member(&drill.endpoint, "bob"));
    drill.crash_and_hold("listener");
    let mut eve = LineClient::connect(&drill.endpoint);
    eve.send("/nick eve");
    ada.send("more lines");
    assert_eq!(bob.wait_for_message("more lines"), "ada");
    drill.release_restart("listener");
    eve.wait_for(|line| line.starts_with("* you are eve"));
    ada.wait_for_line("* eve joined");
    drill.stop(&[("listener", 1)]);
}

const MEMBERS: usize = 10;
const LINES: usize = 60;

/// Sends and receives at once, and returns the others' messages in the order received.
fn talk(at: &str, k: usize, begin: &Barrier) -> Vec<String> {
    let mut line = member(at, &format!("m{k}"));
    let mut mouth = line.stream.try_clone().unwrap();
    begin.wait();
    let talk = thread::spawn(move || {
        for n in 0..LINES {
            mouth.write_all(format!("storm {n}\n").as_bytes()).unwrap();
        }
    });
    let (mut received, mut receipts) = (Vec::new(), 0);
    while received.len() < (MEMBERS - 1) * LINES || receipts < LINES {
        let text = line.wait_for(|text| text.contains("storm") || text.contains("missed"));
        assert!(!text.contains("missed"), "{text}");
        match text.starts_with("Server received") {
            true => receipts += 1,
            false => received.push(text),
        }
    }
    talk.join().unwrap();
    begin.wait();
    received
}

#[test]
fn three_manager_crashes_lose_no_line() {
    let mut drill = InProcessScenario::start(&server(Scenario::Chat));
    let begin = Arc::new(Barrier::new(MEMBERS));
    let members: Vec<_> = (0..MEMBERS)
        .map(|k| {
            let (at, begin) = (drill.endpoint.clone(), begin.clone());
            thread::spawn(move || talk(&at, k, &begin))
        })
        .collect();
    for _ in 0..3 {
        drill.reports(MEMBERS * LINES / 5, |report| match report {
            Report::Message { .. } => Some(()),
            _ => None,
        });
        drill.crash("room");
    }
    let received: Vec<_> = members.into_iter().map(|member| member.join().unwrap()).collect();

    // All members agree on one order.
    let all = |k: usize| received[k].iter().map(String::as_str);
    for k in 0..MEMBERS {
        let mut next = HashMap::new();
        for text in all(k) {
            let (nick, line) = text.split_once(": ").unwrap();
            let n = next.entry(nick).or_insert(0);
            assert_eq!(line, format!("storm {n}"), "from {nick}, received by m{k}");
            *n += 1;
        }
        assert_eq!(next.len(), MEMBERS - 1);
        let (own, first) = (format!("m{k}: "), if k == 0 { 1 } else { 0 });
        let other = format!("m{first}: ");
        let theirs = all(first).filter(|text| !text.starts_with(&own));
        assert!(all(k).filter(|text| !text.starts_with(&other)).eq(theirs), "m{k}'s order differs");
    }
    drill.stop(&[("room", 3)]);
}
