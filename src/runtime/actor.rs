//! What an actor is.
//!
//! An actor is a value with private state and one `run` loop. The supervisor makes the value anew for each
//! incarnation (see [`Child`](super::Child)), hands it a [`Context`] and drives the loop in a task of its
//! own. Returning is the end of the incarnation: `Ok` is a normal exit, an error or a panic is a crash, and
//! what follows is the supervisor's decision, as in Erlang/OTP.

use std::future::Future;
use std::marker::PhantomData;

use super::Context;

/// Any error, so that `?` takes whatever an actor's loop meets.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// How one incarnation ends on its own: `Ok` is normal, an error is a crash.
pub type Outcome = Result<(), BoxError>;

/// A value with private state and a `run` loop, driven as one task.
///
/// Implementors write `async fn run(self, mut ctx: Context<Self::Message>) -> Outcome`.
///
/// # Examples
///
/// This example shows how to write an actor that counts, and how to ask it.
///
/// ```
/// use std::time::Duration;
/// use sockactors::runtime::{Actor, Child, Context, Outcome, Reply, Strategy, Supervisor, System};
///
/// struct Counter(u64);
///
/// enum Count {
///     Add(u64),
///     Total(Reply<u64>),
/// }
///
/// impl Actor for Counter {
///     type Message = Count;
///
///     async fn run(mut self, mut ctx: Context<Count>) -> Outcome {
///         while let Some(message) = ctx.recv().await {
///             match message {
///                 Count::Add(n) => self.0 += n,
///                 Count::Total(reply) => reply.send(self.0),
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let mut tree = Supervisor::new("example", Strategy::OneForOne);
/// let counter = tree.child(Child::new("counter", || Counter(0)));
/// let asker = tree.child(Child::new("asker", move || {
///     let counter = counter.clone();
///     async move |_ctx: Context<()>| -> Outcome {
///         counter.send(Count::Add(40)).await?;
///         counter.send(Count::Add(2)).await?;
///         assert_eq!(counter.ask(Duration::from_secs(5), Count::Total).await?, 42);
///         Ok(())
///     }
/// }).transient().significant());
/// System::new().run(tree).unwrap();
/// # drop(asker);
/// ```
pub trait Actor: Send + 'static {
    /// What arrives in its mailbox.
    type Message: Send + 'static;

    /// Lives one incarnation: from the start until the loop returns.
    fn run(self, ctx: Context<Self::Message>) -> impl Future<Output = Outcome> + Send;
}

/// What can be made into an [`Actor`]: an actor, or a closure `|ctx| async move { .. }`.
///
/// `Kind` tells the two apart for the compiler and is never written by hand.
pub trait IntoActor<Kind>: Send + 'static {
    /// The actor that it becomes.
    type Actor: Actor;

    /// Turns it into the actor.
    fn into_actor(self) -> Self::Actor;
}

/// Marks an [`IntoActor`] that is an actor already.
#[doc(hidden)]
#[derive(Debug)]
pub struct IsActor;

/// Marks an [`IntoActor`] that is a closure over a `Context<M>`.
#[doc(hidden)]
#[derive(Debug)]
pub struct IsClosure<M>(PhantomData<M>);

impl<A: Actor> IntoActor<IsActor> for A {
    type Actor = A;

    fn into_actor(self) -> A {
        self
    }
}

impl<F, M, Fut> IntoActor<IsClosure<M>> for F
where
    F: FnOnce(Context<M>) -> Fut + Send + 'static,
    M: Send + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    type Actor = Closure<F, M>;

    fn into_actor(self) -> Closure<F, M> {
        Closure(self, PhantomData)
    }
}

/// A closure as an actor.
#[doc(hidden)]
#[derive(Debug)]
pub struct Closure<F, M>(F, PhantomData<fn(M)>);

impl<F, M, Fut> Actor for Closure<F, M>
where
    F: FnOnce(Context<M>) -> Fut + Send + 'static,
    M: Send + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    type Message = M;

    fn run(self, ctx: Context<M>) -> impl Future<Output = Outcome> + Send {
        (self.0)(ctx)
    }
}
