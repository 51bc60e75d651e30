//! What was seen of the library since the last step, and how it is compared with what the model came to.

use std::collections::HashSet;
use std::fmt::Write;

use sockactors::runtime::{NodeKind, NodeState, Snapshot};

use super::events::Told;
use super::state::{Id, World, show};

pub struct Seen {
    pub answers: Vec<(usize, String)>,
    /// The tree; none at the very end.
    pub tree: Option<Snapshot>,
}

impl Seen {
    /// Returns what differs. The events that were seen are in the world.
    pub fn faults(&self, world: &World, root: Id) -> Vec<String> {
        let mut faults = world.faults.clone();
        let (mut told, mut seen) = (world.told.clone(), world.seen.clone());
        Told::sort(&mut told);
        Told::sort(&mut seen);
        if told != seen {
            faults.push(differs("events", told, &seen));
        }
        let (mut expected, mut answers) = (world.answers.clone(), self.answers.clone());
        expected.sort();
        answers.sort();
        if expected != answers {
            let text = |(number, answer): &(usize, String)| format!("{number}: {answer}");
            let answers: Vec<_> = answers.iter().map(text).collect();
            faults.push(differs("answers", expected.iter().map(text), &answers));
        }
        if let Some(tree) = &self.tree {
            let (mut expected, mut shown) = (Vec::new(), Vec::new());
            let children = world.nodes[root].desk.iter().flat_map(|desk| &desk.children);
            children.for_each(|child| world.show(*child, &mut expected));
            let living = living(world);
            for child in tree.children.iter().filter(|child| child.path.name() != "driver") {
                look(child, &living, &mut shown);
            }
            if expected != shown {
                faults.push(differs("trees", expected, &shown));
            }
        }
        faults
    }
}

fn differs<T: std::fmt::Display>(
    what: &str,
    expected: impl IntoIterator<Item = T>,
    seen: &[T],
) -> String {
    let mut text = format!("the {what} differ\n expected:");
    for line in expected {
        let _ = write!(text, "\n  {line}");
    }
    text += "\n seen:";
    for line in seen {
        let _ = write!(text, "\n  {line}");
    }
    text
}

/// Lists the supervisors that live.
fn living(world: &World) -> HashSet<&str> {
    let nodes = world.nodes.iter().filter(|node| node.desk.is_some());
    nodes.map(|node| node.path.as_str()).collect()
}

/// Notes a node and those below it. Below a supervisor that does not live nobody may, whoever is listed.
fn look(tree: &Snapshot, living: &HashSet<&str>, lines: &mut Vec<String>) {
    let path = tree.path.to_string();
    lines.push(show(&path, tree.state, tree.restarts));
    let mut children: Vec<_> = tree.children.iter().collect();
    if tree.kind == NodeKind::Supervisor && !living.contains(path.as_str()) {
        children.iter().for_each(|child| look_for_life(child, lines));
        return;
    }
    if tree.kind == NodeKind::Pool {
        children.sort_by_key(|child| child.path.to_string());
    }
    children.into_iter().for_each(|child| look(child, living, lines));
}

fn look_for_life(tree: &Snapshot, lines: &mut Vec<String>) {
    if tree.state != NodeState::Idle {
        lines.push(format!("{} {:?} though its supervisor does not live", tree.path, tree.state));
    }
    tree.children.iter().for_each(|child| look_for_life(child, lines));
}
