//! The model's children: how an incarnation begins, comes to rest and is forgotten, and what a pool's do.

use sockactors::runtime::NodeState;

use super::events::{End, What};
use super::rules::Note;
use super::scripted_actor::{Mood, Order};
use super::spec::Body;
use super::state::{Id, Life, Slot, Timer, World};

impl World {
    /// Begins an incarnation.
    pub fn begin(&mut self, id: Id) {
        let node = &mut self.nodes[id];
        node.life = Life::Starting;
        if let Body::Supervisor(_) = node.plan.body {
            return self.open_desk(id);
        }
        let (mood, of) = (node.moods.pop_front().unwrap_or(Mood::Good), node.incarnation);
        node.fails_slowly = matches!(mood, Mood::SlowFail(_));
        match mood {
            Mood::Good => self.is_up(id),
            Mood::Panic => self.die(id, End::Panicked("no mood".into())),
            Mood::Fail => self.die(id, End::Failed("no mood".into())),
            Mood::Ignore => self.die(id, End::Normal),
            Mood::Never => {}
            Mood::Slow(pause) | Mood::SlowFail(pause) => {
                self.set_timer(self.now + pause, Timer::Start(id, of));
            }
        }
    }

    /// Begins with the root, which nobody supervises.
    pub fn begin_root(&mut self, root: Id) {
        self.nodes[root].incarnation = 1;
        self.begin(root);
    }

    pub fn stop_root(&mut self, root: Id) {
        if let Some(desk) = &mut self.nodes[root].desk {
            desk.is_stopping = true;
            self.nodes[root].is_to_stop = true;
            self.wake(root);
        }
    }

    /// An incarnation has started.
    pub fn is_up(&mut self, id: Id) {
        let node = &mut self.nodes[id];
        (node.life, node.shown) = (Life::Up, NodeState::Running);
        let incarnation = node.incarnation;
        self.tell(id, What::Started(incarnation));
        self.note(id, false);
    }

    /// An incarnation has ended by itself.
    pub fn die(&mut self, id: Id, end: End) {
        self.nodes[id].life = Life::Dead(end.clone(), self.now);
        let parent = self.nodes[id].parent;
        match parent.map(|parent| (parent, &self.nodes[parent].plan.body)) {
            Some((pool, Body::Pool(_))) => {
                self.tell(id, What::Exited(end));
                self.member_is_over(pool, id);
            }
            Some(_) => self.note(id, true),
            None => {
                let was_asked = self.nodes[id].is_to_stop;
                self.nodes[id].shown = NodeState::Idle;
                let what = match end {
                    end if was_asked => What::Stopped(end),
                    end @ (End::StartFailed(..) | End::Misconfigured) => What::StartFailed(end),
                    end => What::Exited(end),
                };
                self.tell(id, what);
            }
        }
    }

    fn note(&mut self, of: Id, is_end: bool) {
        let note = Note { of, incarnation: self.nodes[of].incarnation, is_end, at: self.now };
        let Some(parent) = self.nodes[of].parent else { return };
        if let Some(desk) = &mut self.nodes[parent].desk {
            desk.notes.push_back(note);
            self.wake(parent);
        }
    }

    /// Has an actor do something at its next turn.
    pub fn order(&mut self, id: Id, order: Order) {
        self.nodes[id].ordered = Some(order);
        self.wake(id);
    }

    /// Has an actor do what it is told, and be done with it.
    pub fn obey(&mut self, id: Id, order: Order) {
        match self.nodes[id].life {
            Life::Stopping => self.stopped(id, order.end(true)),
            Life::Starting | Life::Up => self.die(id, order.end(false)),
            Life::None | Life::Newborn | Life::Dead(..) | Life::Over(_) => {}
        }
    }

    /// A child does not live any more: whoever still waits for it to answer is told so.
    pub fn rest(&mut self, id: Id) {
        self.nodes[id].shown = NodeState::Idle;
        self.refuse(id);
    }

    /// Whoever asked for a child's start waits in vain.
    pub fn call_off_asked(&mut self, child: Id) {
        if let Some((request, _)) = self.nodes[child].asked.take() {
            self.tally.count("a start that was asked for was called off");
            self.answer(request, "gone");
        }
    }

    pub fn refuse(&mut self, id: Id) {
        while let Some(request) = self.nodes[id].requests.pop_front() {
            self.tally.count("a waiting request was refused");
            self.answer(request.number, "gone");
        }
    }

    /// `remove_child`.
    pub fn leave(&mut self, id: Id, child: Id) {
        self.desk(id).children.retain(|other| *other != child);
        self.call_off_asked(child);
        if self.nodes[child].is_added || self.nodes[id].parent.is_none() {
            self.retire(child);
        }
    }

    /// Nobody below can ever live again.
    pub fn retire(&mut self, id: Id) {
        self.nodes[id].is_retired = true;
        self.refuse(id);
        for child in self.nodes[id].planned.clone() {
            self.retire(child);
        }
    }

    /// A supervisor's incarnation is over, and who was added to it is lost.
    pub fn close_desk(&mut self, id: Id, end: End) {
        self.refuse(id);
        for child in self.nodes[id].desk.take().map(|desk| desk.children).unwrap_or_default() {
            if self.nodes[child].slot == Slot::Waiting {
                self.nodes[child].slot = Slot::Idle;
                self.rest(child);
            }
        }
        match self.nodes[id].life {
            Life::Stopping => self.stopped(id, end),
            _ => self.die(id, end),
        }
    }
}
