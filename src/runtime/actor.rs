//! Actors: values with private state and a `run` loop.
//!
//! For each incarnation the factory of a [`Child`] makes a new value, and a task of its own runs
//! the loop with a [`Context`]. The incarnation ends when the loop returns: `Ok` is a normal exit,
//! and an error or a panic is a crash. The supervisor decides what follows, as in Erlang/OTP.
//!
//! [`Child`]: crate::runtime::Child

use std::future::Future;
use std::marker::PhantomData;

use crate::runtime::context::Context;

/// Any error. `?` converts every error type to it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The result of an actor's loop: `Ok` is a normal exit, an error is a crash.
pub type Outcome = Result<(), BoxError>;

/// A value with private state and a `run` loop that runs as one task.
///
/// Implementors write `async fn run(self, mut ctx: Context<Self::Message>) -> Outcome`.
///
/// # Examples
///
/// An actor counts, and another one asks it for the total:
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
/// tree.child(Child::new("client", move || {
///     let counter = counter.clone();
///     async move |_ctx: Context<()>| -> Outcome {
///         counter.send(Count::Add(40)).await?;
///         counter.send(Count::Add(2)).await?;
///         assert_eq!(counter.ask(Duration::from_secs(5), Count::Total).await?, 42);
///         Ok(())
///     }
/// }).transient().significant());
/// System::new().run(tree).unwrap();
/// ```
pub trait Actor: Send + 'static {
    /// The type of the messages in its mailbox.
    type Message: Send + 'static;

    /// Runs one incarnation, from its start to its end.
    fn run(self, ctx: Context<Self::Message>) -> impl Future<Output = Outcome> + Send;
}

/// A type that converts into an [`Actor`]: an actor, or a closure `|ctx| async move { .. }`.
///
/// The compiler infers `Kind`, which distinguishes the two.
pub trait IntoActor<Kind>: Send + 'static {
    /// The type of the actor.
    type Actor: Actor;

    /// Converts the value into the actor.
    fn into_actor(self) -> Self::Actor;
}

/// The kind of an [`IntoActor`] that is an actor.
#[doc(hidden)]
#[derive(Debug)]
pub struct IsActor;

/// The kind of an [`IntoActor`] that is a closure over a `Context<M>`.
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

/// A closure that is an actor.
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
