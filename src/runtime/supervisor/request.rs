//! What a supervisor is asked at run time, on its way.
//!
//! Requests never share a queue with exits or with mail. What is not answered is refused: a reply that is
//! dropped tells its caller that the supervisor is gone.

use std::sync::{Arc, OnceLock};

use async_channel::Receiver;
use futures_lite::future;

use crate::runtime::mailbox::reply::Reply;
use crate::runtime::supervisor::admin::{AdminError, ChildCounts, ChildInfo, SupervisorAddress};
use crate::runtime::supervisor::spec::ChildSpec;
use crate::runtime::tree::node::Node;

/// Requests that wait at most; more wait with their callers.
const REQUEST_QUEUE_CAPACITY: usize = 16;

/// What a supervisor is asked.
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
    /// Tells whether the answer is still waited for.
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

/// Who waits for a child to be started.
pub(crate) struct PendingStart {
    pub(crate) is_new: bool,
    pub(crate) reply: Reply<Result<(), AdminError>>,
}

impl PendingStart {
    pub(crate) fn complete(asked: &mut Option<PendingStart>, answer: Result<(), AdminError>) {
        if let Some(asked) = asked.take() {
            asked.reply.send(answer);
        }
    }
}

/// The supervisor's end of its requests; it belongs to the tree.
pub(crate) struct RequestReceiver {
    receiver: Receiver<Request>,
    node: Arc<OnceLock<Arc<Node>>>,
}

impl RequestReceiver {
    pub(crate) async fn recv(&self) -> Request {
        match self.receiver.recv().await {
            Ok(request) => request,
            // Closed when the supervisor is over, which then ends.
            Err(_) => future::pending().await,
        }
    }

    pub(crate) fn set_node(&self, node: &Arc<Node>) {
        drop(self.node.set(node.clone()));
    }

    /// Refuses what waits.
    pub(crate) fn reject_all(&self) {
        while self.receiver.try_recv().is_ok() {}
    }

    /// Refuses everything from now on.
    pub(crate) fn close(&self) {
        self.receiver.close();
        self.reject_all();
    }
}

/// Makes both ends of a supervisor's requests.
pub(crate) fn channel() -> (SupervisorAddress, RequestReceiver) {
    let (sender, queue) = async_channel::bounded(REQUEST_QUEUE_CAPACITY);
    let node = Arc::new(OnceLock::new());
    (SupervisorAddress { sender, node: node.clone() }, RequestReceiver { receiver: queue, node })
}
