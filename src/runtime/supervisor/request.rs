//! What a supervisor is asked at run time, on its way.
//!
//! Requests never share a queue with exits or with mail. What is not answered is refused: a reply that is
//! dropped tells its caller that the supervisor is gone.

use std::sync::{Arc, OnceLock};

use async_channel::Receiver;
use futures_lite::future;

use crate::runtime::mailbox::reply::Reply;
use crate::runtime::supervisor::admin::{AdminError, ChildInfo, Counts, SupervisorAddress};
use crate::runtime::supervisor::spec::Spec;
use crate::runtime::tree::node::Node;

/// Requests that wait at most; more wait with their callers.
const WAITING: usize = 16;

/// What a supervisor is asked.
pub(crate) enum Request {
    Add(Arc<dyn Spec>, Reply<Result<(), AdminError>>),
    Remove(String, Reply<Result<(), AdminError>>),
    Terminate(String, Reply<Result<(), AdminError>>),
    Restart(String, Reply<Result<(), AdminError>>),
    List(Reply<Vec<ChildInfo>>),
    Find(String, Reply<Result<ChildInfo, AdminError>>),
    Count(Reply<Counts>),
}

impl Request {
    /// Tells whether the answer is still waited for.
    pub(crate) fn is_awaited(&self) -> bool {
        match self {
            Request::Add(_, reply)
            | Request::Remove(_, reply)
            | Request::Terminate(_, reply)
            | Request::Restart(_, reply) => reply.is_awaited(),
            Request::List(reply) => reply.is_awaited(),
            Request::Find(_, reply) => reply.is_awaited(),
            Request::Count(reply) => reply.is_awaited(),
        }
    }
}

/// Who waits for a child to be started.
pub(crate) struct Asked {
    pub(crate) is_new: bool,
    pub(crate) reply: Reply<Result<(), AdminError>>,
}

impl Asked {
    pub(crate) fn answer(asked: &mut Option<Asked>, answer: Result<(), AdminError>) {
        if let Some(asked) = asked.take() {
            asked.reply.send(answer);
        }
    }
}

/// The supervisor's end of its requests; it belongs to the tree.
pub(crate) struct Requests {
    queue: Receiver<Request>,
    node: Arc<OnceLock<Arc<Node>>>,
}

impl Requests {
    pub(crate) async fn next(&self) -> Request {
        match self.queue.recv().await {
            Ok(request) => request,
            // Closed when the supervisor is over, which then ends.
            Err(_) => future::pending().await,
        }
    }

    pub(crate) fn belong_to(&self, node: &Arc<Node>) {
        drop(self.node.set(node.clone()));
    }

    /// Refuses what waits.
    pub(crate) fn refuse(&self) {
        while self.queue.try_recv().is_ok() {}
    }

    /// Refuses everything from now on.
    pub(crate) fn close(&self) {
        self.queue.close();
        self.refuse();
    }
}

/// Makes both ends of a supervisor's requests.
pub(crate) fn channel() -> (SupervisorAddress, Requests) {
    let (sender, queue) = async_channel::bounded(WAITING);
    let node = Arc::new(OnceLock::new());
    (SupervisorAddress { sender, node: node.clone() }, Requests { queue, node })
}
