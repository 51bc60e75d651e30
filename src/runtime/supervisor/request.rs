//! Requests to a supervisor at run time, with their answers, and the queue that carries them.
//!
//! Requests share no queue with exits or messages. A request that is not answered is rejected: its
//! dropped reply tells the caller that the supervisor is gone.

use std::sync::{Arc, OnceLock};

use async_channel::{Receiver, Sender};
use futures_lite::future;
use thiserror::Error;

use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::mailbox::reply;
use crate::runtime::mailbox::reply::Reply;
use crate::runtime::supervisor::options::{Restart, Shutdown};
use crate::runtime::supervisor::spec::ChildSpec;
use crate::runtime::tree::node::Node;
use crate::runtime::tree::snapshot::{NodeKind, NodeState};

/// The maximum number of requests in the queue. Further callers wait until there is space.
const REQUEST_QUEUE_CAPACITY: usize = 16;

/// The reason a request was rejected. The parentheses hold Erlang/OTP's word for the reason.
#[derive(Error, Debug, Clone)]
#[non_exhaustive]
pub enum AdminError {
    /// There is no child of this name (`not_found`).
    #[error("there is no such child")]
    NotFound,
    /// The child is running (`running`).
    #[error("the child is running")]
    Running,
    /// The child is starting, or waits for its restart (`restarting`).
    #[error("the child is being restarted")]
    Restarting,
    /// A child of this name is already running (`already_started`).
    #[error("a child of this name is already started")]
    AlreadyStarted,
    /// There is a child of this name, which is not running (`already_present`).
    #[error("a child of this name is already present")]
    AlreadyPresent,
    /// The specification contradicts itself or its supervisor's (`bad_combination`).
    #[error("{0}")]
    Misconfigured(Arc<str>),
    /// The child did not start. Contains its exit.
    #[error("the child did not start: {0}")]
    StartFailed(Exit),
    /// The supervisor is not running, or it or the child ended before the request was answered
    /// (`noproc`). A request to a supervisor that has not started, or is about to be restarted,
    /// waits instead.
    #[error("the supervisor is gone")]
    Unavailable,
}

/// A child's state and options, as its supervisor sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// The child's name.
    pub name: String,
    /// Actor, supervisor or pool.
    pub kind: NodeKind,
    /// The child's state.
    pub state: NodeState,
    /// The number of restarts since the child was first started.
    pub restarts: u32,
    /// When the child is restarted.
    pub restart: Restart,
    /// How the child is stopped.
    pub shutdown: Shutdown,
    /// Whether the child is significant.
    pub significant: bool,
}

/// The numbers of a supervisor's children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChildCounts {
    /// All children, running or not.
    pub specs: usize,
    /// Children that are running.
    pub active: usize,
    /// Children that are supervisors or pools.
    pub supervisors: usize,
    /// Children that are actors.
    pub workers: usize,
}

/// A request to a supervisor, with the reply for its answer. Children are named.
pub(crate) enum Request {
    Add(Arc<dyn ChildSpec>, Reply<Result<(), AdminError>>),
    Remove(String, Reply<Result<(), AdminError>>),
    Terminate(String, Reply<Result<(), AdminError>>),
    Restart(String, Reply<Result<(), AdminError>>),
    List(Reply<Vec<ChildInfo>>),
    Find(String, Reply<Result<ChildInfo, AdminError>>),
    Count(Reply<ChildCounts>),
}

impl Request {
    /// Returns whether the caller still waits for the answer.
    pub(crate) fn has_caller(&self) -> bool {
        match self {
            Request::Add(_, reply)
            | Request::Remove(_, reply)
            | Request::Terminate(_, reply)
            | Request::Restart(_, reply) => reply.has_receiver(),
            Request::List(reply) => reply.has_receiver(),
            Request::Find(_, reply) => reply.has_receiver(),
            Request::Count(reply) => reply.has_receiver(),
        }
    }
}

/// A request that is answered when the start of its child has succeeded or failed.
pub(crate) struct PendingStart {
    /// Whether the request added the child.
    pub(crate) is_new: bool,
    pub(crate) reply: Reply<Result<(), AdminError>>,
}

/// The sending end of a supervisor's request queue.
#[derive(Debug, Clone)]
pub(crate) struct RequestSender {
    sender: Sender<Request>,
    node: Arc<OnceLock<Arc<Node>>>,
}

impl RequestSender {
    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] if the supervisor is not running, or ends before it answers.
    pub(crate) async fn ask<R>(
        &self,
        request: impl FnOnce(Reply<R>) -> Request,
    ) -> Result<R, AdminError> {
        let is_gone = || {
            let node = self.node.get();
            node.is_some_and(|node| node.state() == NodeState::Idle && node.incarnation() > 0)
        };
        if is_gone() {
            return Err(AdminError::Unavailable);
        }
        let (reply, answer) = reply::channel();
        self.sender.send(request(reply)).await.map_err(|_| AdminError::Unavailable)?;
        // The supervisor may have ended, and rejected the queued requests, just before the send.
        if is_gone() {
            return Err(AdminError::Unavailable);
        }
        answer.recv().await.ok_or(AdminError::Unavailable)
    }

    /// Returns the supervisor's node; none until the supervisor is added to a tree.
    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.node.get()
    }
}

/// The receiving end of a supervisor's request queue. It belongs to the tree.
pub(crate) struct RequestReceiver {
    receiver: Receiver<Request>,
    node: Arc<OnceLock<Arc<Node>>>,
}

impl RequestReceiver {
    /// Receives the next request. Cancel-safe.
    pub(crate) async fn recv(&self) -> Request {
        match self.receiver.recv().await {
            Ok(request) => request,
            // The queue is closed when the supervisor is about to end, so there is nothing to do.
            Err(_) => future::pending().await,
        }
    }

    /// Sets the supervisor's node, once.
    pub(crate) fn set_node(&self, node: &Arc<Node>) {
        drop(self.node.set(node.clone()));
    }

    /// Rejects the queued requests.
    pub(crate) fn reject_all(&self) {
        while self.receiver.try_recv().is_ok() {}
    }

    /// Rejects the queued requests and all that follow.
    pub(crate) fn close(&self) {
        self.receiver.close();
        self.reject_all();
    }
}

/// Creates a supervisor's request queue.
pub(crate) fn channel() -> (RequestSender, RequestReceiver) {
    let (sender, receiver) = async_channel::bounded(REQUEST_QUEUE_CAPACITY);
    let node = Arc::new(OnceLock::new());
    (RequestSender { sender, node: node.clone() }, RequestReceiver { receiver, node })
}
