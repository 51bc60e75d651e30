//! The observation of the library since the last step, and its comparison with the model.

use std::collections::HashSet;
use std::fmt::Write;

use sockactors::runtime::{NodeKind, NodeState, Snapshot};

use super::events::ModelEvent;
use super::state::{Id, ModelState, show};

pub struct Observed {
    pub answers: Vec<(usize, String)>,
    /// The tree. `None` at the very end.
    pub tree: Option<Snapshot>,
}

impl Observed {
    /// Returns the differences. The observed events are in the model's state.
    pub fn faults(&self, state: &ModelState, root: Id) -> Vec<String> {
        let mut faults = state.faults.clone();
        let (mut told, mut seen) = (state.told.clone(), state.seen.clone());
        ModelEvent::sort(&mut told);
        ModelEvent::sort(&mut seen);
        if told != seen {
            faults.push(differs("events", told, &seen));
        }
        let (mut expected, mut answers) = (state.answers.clone(), self.answers.clone());
        expected.sort();
        answers.sort();
        if expected != answers {
            let text = |(number, answer): &(usize, String)| format!("{number}: {answer}");
            let answers: Vec<_> = answers.iter().map(text).collect();
            faults.push(differs("answers", expected.iter().map(text), &answers));
        }
        if let Some(tree) = &self.tree {
            let (mut expected, mut shown) = (Vec::new(), Vec::new());
            let children = state.nodes[root]
                .supervisor_state
                .iter()
                .flat_map(|supervisor_state| &supervisor_state.children);
            children.for_each(|child| state.show(*child, &mut expected));
            let living = living(state);
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

/// Lists the running supervisors.
fn living(state: &ModelState) -> HashSet<&str> {
    let nodes = state.nodes.iter().filter(|node| node.supervisor_state.is_some());
    nodes.map(|node| node.path.as_str()).collect()
}

/// Records a node and those below it. Below a supervisor that does not run no child may run.
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
