//! The suite's case of the order in which children start and end.

use sockactors::runtime::Strategy;

use super::child::plain;
use super::incarnation_log::{LogEntry, Pid};
use super::support::{EndBy, Test, case, flags};

const NAMES: [&str; 5] = ["ch7", "ch3", "ch10", "ch2", "ch5"];

/// Returns the starts (`+`) and ends (`-`) below the supervisor from an index on.
fn turns(t: &Test, from: usize) -> Vec<String> {
    t.log(|log| {
        let told = log.turns[from..].iter().filter_map(|turn| {
            let (sign, pid) = match turn {
                LogEntry::Began(pid) => ('+', *pid),
                LogEntry::Ended(pid) => ('-', *pid),
            };
            Some(format!("{sign}{}", log.path(pid).strip_prefix("otp/sup/")?))
        });
        told.collect()
    })
}

#[test]
fn order_of_children() {
    case(async |t: Test| {
        let mut supervisor = flags(Strategy::RestForOne, 2, 3600);
        let children = NAMES.map(|name| supervisor.child(plain(name)));
        let sup = t.start(supervisor).await.unwrap();
        assert_eq!(turns(&t, 0), ["+ch7", "+ch3", "+ch10", "+ch2", "+ch5"]);
        let first: Vec<Pid> = children.iter().map(|child| t.pid(child)).collect();
        assert!(first.is_sorted());

        let before = t.log(|log| log.turns.len());
        t.end(&children[2], EndBy::Abnormal).await;
        let rows = sup.rows().await;
        let order = ["-ch10", "-ch5", "-ch2", "+ch10", "+ch2", "+ch5"];
        assert_eq!(turns(&t, before), order);
        let second: Vec<Pid> = children.iter().map(|child| t.pid(child)).collect();
        assert!(second.is_sorted() && second[..2] == first[..2] && second[2] > first[4]);
        let names: Vec<_> = rows.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, NAMES);

        let before = t.log(|log| log.turns.len());
        t.shut_down(&sup).await;
        assert_eq!(turns(&t, before), ["-ch5", "-ch2", "-ch10", "-ch3", "-ch7"]);
    });
}
