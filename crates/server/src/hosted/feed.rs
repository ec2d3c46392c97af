//! Changes of tasks for a stream that listens to them.

use std::sync::Arc;

use protocol::{Era, Raw};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

use super::begin::shown;
use super::call::holder;
use super::lists::hosts;
use crate::app::Exchange;
use crate::may;

/// Changes that wait for a stream; a task that changes while it is full is told of with its next change, or
/// its last.
const WAITING_MAX: usize = 64;

/// Tasks that a client hears of at a time without asking for them.
const UNASKED_MAX: usize = 64;

/// Tells of each task that is made here: whose it is, and its name.
pub(crate) struct News(broadcast::Sender<Made>);

/// Its holder, and its name.
type Made = (Arc<str>, Arc<str>);

impl Default for News {
    fn default() -> Self {
        Self(broadcast::Sender::new(256))
    }
}

impl News {
    pub fn tell(&self, holder: &str, task: &str) {
        // Nobody may listen.
        let _ = self.0.send((Arc::from(holder), Arc::from(task)));
    }
}

/// The tasks that one stream is about.
pub(crate) struct Feed {
    x: Exchange,
    to: mpsc::Sender<Raw>,
    changes: mpsc::Receiver<Raw>,
    given: Vec<Arc<str>>,
    /// Of tasks of this holder.
    news: Option<(String, broadcast::Receiver<Made>)>,
    watchers: JoinSet<()>,
}

impl Feed {
    /// Listens to the tasks that the client makes here from now on, and to those of its own that are open;
    /// `None` where clients of its revision have none.
    pub async fn of_all(x: &Exchange) -> Option<Self> {
        if x.revision.era() != Era::Legacy || !x.revision.features().tasks || !hosts(x) {
            return None;
        }
        let holder = holder(&x.caller.principal, x.endpoint.name());
        let news = x.app.task_news.0.subscribe();
        let mut feed = Self { news: Some((holder.clone(), news)), ..Self::of(x, Vec::new()) };
        // Where they cannot be had now the client hears of none of them, which it may (2025-11-25, "Status
        // Notifications").
        let found = x.app.tasks.get()?.list(&holder, None, UNASKED_MAX).await.unwrap_or_default();
        found.iter().filter(|view| view.task.state.is_open()).for_each(|view| feed.add(&view.id));
        Some(feed)
    }

    fn add(&mut self, own: &str) {
        while self.watchers.try_join_next().is_some() {}
        if self.watchers.len() < UNASKED_MAX {
            let given = self.x.app.handles.seal_task(self.x.holder(), super::OWN, own);
            self.watchers.spawn(watch(self.x.clone(), own.to_owned(), given, self.to.clone()));
        }
    }

    /// Listens to these: the gateway's name for a task, and the client's.
    pub fn of(x: &Exchange, tasks: Vec<(String, String)>) -> Self {
        let (to, changes) = mpsc::channel(WAITING_MAX);
        let mut watchers = JoinSet::new();
        let given = tasks.iter().map(|(_, given)| Arc::from(given.as_str())).collect();
        for (own, given) in tasks {
            watchers.spawn(watch(x.unplaced(), own, given, to.clone()));
        }
        Self { x: x.unplaced(), to, changes, given, news: None, watchers }
    }

    /// The tasks, as the client named them.
    pub fn given(&self) -> impl Iterator<Item = &str> {
        self.given.iter().map(|given| &**given)
    }

    /// The parameters of the next notification. Never ends; safe to cancel.
    pub async fn next(&mut self) -> Raw {
        loop {
            let Some((holder, news)) = &mut self.news else { return next_of(&mut self.changes).await };
            let made = tokio::select! {
                change = next_of(&mut self.changes) => return change,
                made = news.recv() => made,
            };
            match made {
                Ok((whose, own)) if *whose == **holder => self.add(&own),
                // Of those that were missed it hears nothing, which it may.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => self.news = None,
            }
        }
    }
}

async fn next_of(changes: &mut mpsc::Receiver<Raw>) -> Raw {
    match changes.recv().await {
        Some(change) => change,
        None => std::future::pending().await,
    }
}

async fn watch(x: Exchange, own: String, given: String, to: mpsc::Sender<Raw>) {
    let Some(tasks) = x.app.tasks.get() else { return };
    let holder = holder(&x.caller.principal, x.endpoint.name());
    let mut changes = tasks.watch(&own);
    let mut told = 0;
    loop {
        changes.borrow_and_update();
        // What it is now is told at once: it may have changed just before.
        let view = match tasks.get(&own, &holder).await {
            Ok(view) => view,
            Err(tasks::TaskError::Store { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                continue;
            }
            Err(_) => return,
        };
        let over = !view.task.state.is_open();
        if view.task.version > told {
            told = view.task.version;
            if !may_hear(&x, &view) {
                return;
            }
            let legacy = x.revision.era() == Era::Legacy;
            let task = shown(&x, &view, Some(&given));
            let params = task.with(|task| if legacy { task.legacy() } else { task.whole() });
            if to.send(params).await.is_err() {
                return;
            }
        }
        if over || changes.changed().await.is_err() {
            return;
        }
    }
}

/// Whether the policies in force by now let a client ask for this task.
fn may_hear(x: &Exchange, view: &tasks::View) -> bool {
    let mut now = x.unplaced();
    let (upstream, tool) = may::task_of(&view.task.labels);
    now.move_to(x.app.generation()) && may::may_use(&now, &upstream, &tool)
}
