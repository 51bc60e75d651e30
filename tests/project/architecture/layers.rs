//! The order of the layers, and of the folders inside of them.

use super::imports::Edges;

/// The layers, lowest first. A file uses its own layer and those below it.
pub const LAYERS: [&str; 9] =
    ["time", "sync", "reactor", "runtime", "wire", "net", "actors", "scenario", "cli"];

/// The order inside of a folder: rows of files and folders, lowest row first.
///
/// A file uses its own entry and the rows below it. The entries of one row do not use each other.
/// The longest entry that matches a file is its own. The folder's `mod.rs` only re-exports, so it
/// needs no entry unless the table names it.
pub struct Order {
    pub folder: &'static str,
    pub rows: &'static [&'static [&'static str]],
}

pub const ORDERS: [Order; 6] = [
    Order {
        folder: "src/reactor",
        rows: &[&["notifier", "registry", "timer_queue"], &["epoll"], &["source", "timer"]],
    },
    Order {
        folder: "src/runtime",
        rows: &[
            &["executor/futures", "json"],
            &["tree/path", "tree/control"],
            &["tree/snapshot"],
            &["sim/fault"],
            &["sim/executor"],
            &["executor"],
            &["lifecycle/exit"],
            &["lifecycle/event", "lifecycle/panic"],
            &["lifecycle/observer"],
            &["address/error", "mailbox/erased"],
            &["tree"],
            &["sim/hooks", "lifecycle/notifier"],
            &["mailbox", "monitor"],
            &["address"],
            &["context"],
            &["actor"],
            &["lifecycle"],
            &["job_queue"],
            &["supervisor/options"],
            &["supervisor/spec"],
            &["pool"],
            &["supervisor"],
            &["system"],
            &["sim"],
        ],
    },
    Order { folder: "actors", rows: &[&["support"], &["tcp", "udp", "file", "chat"]] },
    Order {
        folder: "actors/file",
        rows: &[&["store", "progress", "failure_code"], &["receive", "send", "writer", "reaper"]],
    },
    Order {
        folder: "actors/chat",
        rows: &[
            &["messages", "operator_auth"],
            &["broadcast"],
            &["history"],
            &["registry"],
            &["manager"],
            &["session"],
            &["console", "client"],
        ],
    },
    Order {
        folder: "src/cli",
        rows: &[
            &["exit", "output/settings"],
            &["args"],
            &["remedy"],
            &["output"],
            &["terminal"],
            &["run"],
        ],
    },
];

/// Returns a fault for each edge that runs up or aside, and for each file without an entry.
pub fn arrows(edges: &Edges, orders: &[Order]) -> Vec<String> {
    let mut faults = Vec::new();
    for order in orders {
        for (from, used) in edges {
            for (to, items) in used {
                let (Some(source), Some(target)) = (order.place(from), order.place(to)) else {
                    continue;
                };
                let why = match (source, target) {
                    (Place::Missing, _) => format!("{from} has no entry in the order of layers.rs"),
                    (_, Place::Missing) => format!("{to} has no entry in the order of layers.rs"),
                    (Place::At(from_row, own), Place::At(to_row, other)) => {
                        if own == other || to_row < from_row {
                            continue;
                        }
                        let relation = if to_row > from_row { "above" } else { "beside" };
                        let items: Vec<_> = items.iter().map(String::as_str).collect();
                        format!("uses {to} ({}), which is {relation} it", items.join(", "))
                    }
                };
                faults.push(format!("{from}: {why}"));
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// The place of a file in an order.
enum Place {
    At(usize, &'static str),
    Missing,
}

impl Order {
    /// Returns the place of a file, or none for files outside of the folder and its `mod.rs`.
    fn place(&self, file: &str) -> Option<Place> {
        let inside = file.strip_prefix(self.folder)?.strip_prefix('/')?;
        let matches = |entry: &str| {
            let rest = inside.strip_prefix(entry);
            rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
        };
        let rows = self.rows.iter().enumerate();
        let entries =
            rows.flat_map(|(row, entries)| entries.iter().map(move |entry| (row, *entry)));
        let longest =
            entries.filter(|(_, entry)| matches(entry)).max_by_key(|(_, entry)| entry.len());
        match longest {
            Some((row, entry)) => Some(Place::At(row, entry)),
            None if inside == "mod.rs" => None,
            None => Some(Place::Missing),
        }
    }
}
