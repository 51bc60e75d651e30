//! A supervisor under test, as the test process sees it.

use std::fmt;
use std::ops::Deref;

use sockactors::runtime::{Address, AdminError, Child, ChildInfo, NodeState, SupervisorAddress};

use super::child::{Say, Scripted};
use super::incarnation_log::Pid;
use super::support::{EndBy, Test};

#[derive(Clone)]
pub struct Sup {
    pub test: Test,
    pub address: SupervisorAddress,
}

/// The state of a child, in the words of `which_children`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Undefined,
    Restarting,
    /// Beyond OTP, where a starting child is never visible.
    Starting,
    Is(Pid),
}

/// The children of a supervisor in start order.
#[derive(PartialEq, Eq)]
pub struct Rows(pub Vec<(String, At)>);

impl<const N: usize> PartialEq<[(&str, At); N]> for Rows {
    fn eq(&self, other: &[(&str, At); N]) -> bool {
        self.0.iter().map(|(name, at)| (name.as_str(), *at)).eq(other.iter().copied())
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Deref for Sup {
    type Target = SupervisorAddress;

    fn deref(&self) -> &SupervisorAddress {
        &self.address
    }
}

impl Sup {
    /// Returns its path, from the debug text of its address.
    pub fn path(&self) -> String {
        let text = format!("{:?}", self.address);
        text.trim_start_matches("SupervisorAddress(").trim_end_matches(')').to_owned()
    }

    pub fn pid(&self) -> Pid {
        let path = self.path();
        let pid = self.test.log(|log| log.alive(&path));
        pid.unwrap_or_else(|| panic!("{path} does not live"))
    }

    /// Adds a child and starts it, as `start_child` does.
    pub async fn add(&self, child: Child<Scripted>) -> Result<Address<Say>, AdminError> {
        self.address.add(child).await
    }

    /// Lists the children as they are now.
    pub async fn rows_now(&self) -> Rows {
        self.rows_of(self.children().await.unwrap())
    }

    fn rows_of(&self, children: Vec<ChildInfo>) -> Rows {
        let row = |child: ChildInfo| {
            let at = match child.state {
                NodeState::Running => At::Is(self.pid_of(&child.name)),
                NodeState::Idle => At::Undefined,
                NodeState::Restarting => At::Restarting,
                NodeState::Starting => At::Starting,
                other => panic!("{} is {other:?}", child.name),
            };
            (child.name, at)
        };
        Rows(children.into_iter().map(row).collect())
    }

    /// Lists the children once none of them is starting. In OTP a start blocks the list, here it
    /// does not.
    pub async fn rows(&self) -> Rows {
        self.rows_of(self.settled().await)
    }

    async fn settled(&self) -> Vec<ChildInfo> {
        let rests =
            |child: &ChildInfo| !matches!(child.state, NodeState::Starting | NodeState::Restarting);
        loop {
            let children = self.children().await.unwrap();
            if children.iter().all(rests) {
                return children;
            }
            self.test.settle().await;
        }
    }

    /// Returns the incarnation of the child with this name.
    pub fn pid_of(&self, name: &str) -> Pid {
        let path = format!("{}/{name}", self.path());
        let pid = self.test.log(|log| log.alive(&path));
        pid.unwrap_or_else(|| panic!("{path} does not live"))
    }

    /// Counts the children as `count_children` does: specifications, active, supervisors, workers.
    pub async fn counts(&self) -> [usize; 4] {
        self.settled().await;
        self.counts_now().await
    }

    /// The same, even if a child is starting.
    pub async fn counts_now(&self) -> [usize; 4] {
        let counts = self.count().await.unwrap();
        [counts.specs, counts.active, counts.supervisors, counts.workers]
    }

    /// Ends a child, and returns its incarnation.
    pub async fn end(&self, name: &str, address: &Address<Say>, how: EndBy) -> Pid {
        match how {
            EndBy::Supervisor => {
                let pid = self.test.pid(address);
                self.terminate(name).await.unwrap();
                pid
            }
            _ => self.test.end(address, how).await,
        }
    }
}
