//! A system leaves no descriptor open. This program has one test, so that no other test's
//! descriptors are counted.

#[path = "runtime/support/system.rs"]
mod system;

use std::fs;

use sockactors::runtime::{Child, Strategy, Supervisor, System};
use system::{Running, live};

/// Returns the open descriptors of this process with their targets.
fn descriptors() -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let describe = |path: std::path::PathBuf| {
        let target = fs::read_link(&path).unwrap_or_default();
        format!("{} -> {}", path.display(), target.display())
    };
    entries.map(describe).collect()
}

fn run_system_with_signals() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    tree.child(Child::new("x", || live));
    let mut run = Running::start_with(System::new().on_usr1(|_| ()), tree);
    run.wait_for("t/x started");
    run.stop().unwrap();
}

#[test]
fn finished_systems_leave_no_descriptor_open() {
    run_system_with_signals();
    let before = descriptors();
    for _ in 0..50 {
        run_system_with_signals();
    }
    let after = descriptors();
    assert_eq!(before.len(), after.len(), "{before:#?}\n{after:#?}");
}
