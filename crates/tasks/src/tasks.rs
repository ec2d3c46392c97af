//! Making tasks and asking for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use model::task::{Command, QuestionState, Refusal, Task, TaskRules, TaskState};
use model::{Clock, Rng, Timestamp};
use store::{Guard, Store, StoreError, TaskFilter, TaskMade, TaskPhase, TaskRow};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::claim::Holding;
use crate::live::{Claiming, Live, LiveTasks};
use crate::options::Counters;
use crate::read::Cache;
use crate::sweep::Usage;
use crate::watch::Watched;
use crate::{Figures, Options, Outcome, Ran, Run, Runner, claim, drive, row, sweep, watch as watching};

/// What a new task is.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Whose share it counts to.
    pub tenant: String,
    /// Who may ask for it, as one text.
    pub holder: String,
    /// What makes a repeated creation the same task.
    pub key: Option<String>,
    /// The call, as the runner understands it.
    pub call: Bytes,
    /// What is decided for it.
    pub rules: TaskRules,
    /// When its first attempt begins; `None`: at once.
    pub not_before: Option<Timestamp>,
    /// What is to be known of it again, by name: shown to whoever may see the task.
    pub labels: BTreeMap<String, String>,
}

/// A task that is there, and durable.
#[derive(Debug, Clone)]
pub struct Made {
    /// The task.
    pub view: View,
    /// Whether it was there before, made with the same key.
    pub repeated: bool,
}

/// A task as it is shown.
#[derive(Debug, Clone)]
pub struct View {
    /// Its name.
    pub id: String,
    /// Who may ask for it.
    pub holder: String,
    /// Its record.
    pub task: Task,
    /// What it came to; `None` before its end, and in lists.
    pub outcome: Option<Outcome>,
}

/// Why a task cannot be made, or not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TaskError {
    /// There is none of this name for this holder.
    #[error("the task is unknown")]
    Unknown,
    /// There was one.
    #[error("the task has expired")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// A share is used up.
    #[error("the tenant has as many tasks as it may ({limit})")]
    Share {
        /// Which one.
        limit: &'static str,
    },
    /// The gateway is stopping.
    #[error("no new tasks are taken: the gateway is stopping")]
    Stopping,
    /// The store does not do it.
    #[error("the store cannot be used")]
    Store {
        /// Whether what was asked may have happened all the same.
        maybe_written: bool,
        /// Why.
        #[source]
        source: Arc<StoreError>,
    },
}

impl From<StoreError> for TaskError {
    fn from(error: StoreError) -> Self {
        let maybe_written = matches!(error, StoreError::Unavailable { maybe_written: true, .. });
        Self::Store { maybe_written, source: Arc::new(error) }
    }
}

/// What begins with the task, in place of the runner: a call that is under way already.
pub type Begun = Box<dyn FnOnce(Run) -> BoxFuture<'static, Ran> + Send>;

pub(crate) struct Inner {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub runner: Arc<dyn Runner>,
    pub options: ArcSwap<Options>,
    pub counters: Counters,
    pub live: LiveTasks,
    pub claiming: Claiming,
    /// Whether this worker may have tasks that it does not know of.
    pub doubt: AtomicBool,
    pub watched: Watched,
    pub cache: Cache,
    pub usage: Usage,
    /// The lease of this worker, while it has one.
    pub holding: watch::Sender<Option<Holding>>,
    /// There may be something to claim.
    pub claims: Notify,
    pub stopping: AtomicBool,
}

impl Inner {
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether another attempt may begin here.
    pub fn has_room(&self) -> bool {
        self.live.len() < self.options.load().running_max
    }

    /// A new name, which sorts by time (RFC 9562, version 7, as 32 digits).
    fn name(&self, now: Timestamp) -> String {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        bytes[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Durable tasks of this process. Clones are the same.
#[derive(Clone)]
pub struct Tasks {
    pub(crate) inner: Arc<Inner>,
    workers: Arc<std::sync::Mutex<JoinSet<()>>>,
}

impl Tasks {
    /// Begins to work on the tasks of a store. `worker` is a name that no other process has or had. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        runner: Arc<dyn Runner>,
        worker: &str,
        options: Options,
    ) -> Self {
        let inner = Arc::new(Inner {
            store,
            clock,
            rng,
            runner,
            options: ArcSwap::from_pointee(options),
            counters: Counters::default(),
            live: LiveTasks::default(),
            claiming: Claiming::default(),
            doubt: AtomicBool::new(false),
            watched: Watched::default(),
            cache: Cache::default(),
            usage: Usage::default(),
            holding: watch::Sender::new(None),
            claims: Notify::new(),
            stopping: AtomicBool::new(false),
        });
        let mut workers = JoinSet::new();
        workers.spawn(claim::hold(Arc::clone(&inner), worker.to_owned()));
        workers.spawn(claim::due(Arc::clone(&inner)));
        workers.spawn(claim::lost(Arc::clone(&inner)));
        workers.spawn(watching::run(Arc::clone(&inner)));
        workers.spawn(sweep::run(Arc::clone(&inner)));
        Self { inner, workers: Arc::new(std::sync::Mutex::new(workers)) }
    }

    /// Puts other limits in force.
    pub fn set(&self, options: Options) {
        self.inner.options.store(Arc::new(options));
    }

    /// Makes a task. When this returns, it is durable, and its first attempt begins.
    ///
    /// # Errors
    /// [`TaskError`]; no attempt has begun then.
    pub async fn create(&self, new: NewTask) -> Result<Made, TaskError> {
        self.make(new, None).await
    }

    /// Makes a task of a call that is under way already. Where there is one of its key, the call is dropped.
    ///
    /// # Errors
    /// [`TaskError`]; the call was dropped then.
    pub async fn create_begun(&self, new: NewTask, begun: Begun) -> Result<Made, TaskError> {
        self.make(new, Some(begun)).await
    }

    async fn make(&self, new: NewTask, begun: Option<Begun>) -> Result<Made, TaskError> {
        let made = self.try_make(new, begun).await;
        let counter = match &made {
            Ok(made) if made.repeated => &self.inner.counters.repeated,
            Ok(_) => &self.inner.counters.created,
            Err(_) => &self.inner.counters.refused,
        };
        Counters::add(counter, 1);
        made
    }

    async fn try_make(&self, new: NewTask, begun: Option<Begun>) -> Result<Made, TaskError> {
        let inner = &self.inner;
        if inner.stopping.load(Ordering::Acquire) {
            return Err(TaskError::Stopping);
        }
        inner.usage.allows(&new.tenant, new.call.len() as u64, &inner.options.load())?;
        let holding = claim::held(inner).await?;
        let now = inner.now();
        let id = inner.name(now);
        let at_once = begun.is_some() || new.not_before.is_none_or(|at| at <= now);
        let task = if at_once && (begun.is_some() || inner.has_room()) {
            Task::running(now, &holding.owner, new.rules)
        } else {
            Task::waiting(now, new.not_before.unwrap_or(now), new.rules)
        };
        let task = task.labelled(new.labels);
        let (phase, due) = row::phase(&task);
        let row = TaskRow {
            id: id.clone(),
            tenant: new.tenant,
            holder: new.holder.clone(),
            key: new.key,
            phase,
            owner: task.owner.clone(),
            due,
            version: task.version,
            head: row::head(&task),
            call: new.call.clone(),
            outcome: Bytes::new(),
        };
        let _claiming = inner.claiming.begin(&row.id);
        match self.insert(&row).await? {
            TaskMade::Done => {}
            TaskMade::Same(id) => {
                let view = self.get(&id, &new.holder).await?;
                return Ok(Made { view, repeated: true });
            }
        }
        inner.usage.add(&row.tenant, row.bytes());
        if task.state == TaskState::Running {
            let live = Live { holder: new.holder.clone(), task: task.clone(), call: new.call };
            drive::begin(inner, &id, live, begun);
        } else {
            inner.claims.notify_one();
        }
        Ok(Made { view: View { id, holder: new.holder, task, outcome: None }, repeated: false })
    }

    /// Writes a new row. Where it is not known whether it was written, that is found out.
    async fn insert(&self, row: &TaskRow) -> Result<TaskMade, TaskError> {
        let once = async || {
            let mut tx = self.inner.store.begin().await?;
            let made = tx.task_create(row).await?;
            if made == TaskMade::Done {
                tx.commit().await?;
            }
            Ok::<_, StoreError>(made)
        };
        match once().await {
            Ok(made) => Ok(made),
            Err(StoreError::Unavailable { maybe_written: true, source }) => {
                match self.inner.store.task(&row.id).await {
                    Ok(Some(_)) => Ok(TaskMade::Done),
                    Ok(None) => Err(StoreError::Unavailable { maybe_written: false, source }.into()),
                    // Made again with its key it is found, and whoever makes it again wants it to run.
                    Err(_) if row.key.is_some() => {
                        self.inner.doubt.store(true, Ordering::Release);
                        Err(StoreError::Unavailable { maybe_written: true, source }.into())
                    }
                    Err(_) => {
                        // If it is there, it must not run: nobody knows of it.
                        tokio::spawn(crate::change::withdraw(Arc::clone(&self.inner), row.id.clone()));
                        Err(StoreError::Unavailable { maybe_written: false, source }.into())
                    }
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A task and what it came to.
    ///
    /// # Errors
    /// [`TaskError::Unknown`] where there is none of this name, or not for this holder;
    /// [`TaskError::Expired`]; [`TaskError::Store`].
    pub async fn get(&self, id: &str, holder: &str) -> Result<View, TaskError> {
        self.inner.read(id, Some(holder)).await
    }

    /// The same for an operator, who may see every task.
    ///
    /// # Errors
    /// As [`Tasks::get`].
    pub async fn inspect(&self, id: &str) -> Result<View, TaskError> {
        self.inner.read(id, None).await
    }

    /// Tasks of a holder that are not gone, the newest first, after this one.
    ///
    /// # Errors
    /// [`TaskError::Store`]
    pub async fn list(
        &self,
        holder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<View>, TaskError> {
        let filter = TaskFilter { holder: Some(holder.to_owned()), ..TaskFilter::default() };
        self.find(&filter, after, limit).await
    }

    /// Tasks that fit, for an operator.
    ///
    /// # Errors
    /// [`TaskError::Store`]
    pub async fn find(
        &self,
        filter: &TaskFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<View>, TaskError> {
        let now = self.inner.now();
        let rows = self.inner.store.tasks(filter, after, limit).await?;
        let view = |found: TaskRow| {
            let task = row::task(&found)?;
            Ok(View { id: found.id, holder: found.holder, task, outcome: None })
        };
        let views: Vec<View> = rows.into_iter().map(view).collect::<Result<_, StoreError>>()?;
        Ok(views
            .into_iter()
            .filter(|view| filter.phase == Some(TaskPhase::Gone) || !view.task.is_over(now))
            .collect())
    }

    /// Takes a client's answers; keys that are unknown, superseded or answered already are passed over.
    ///
    /// # Errors
    /// As [`Tasks::get`].
    pub async fn answer(
        &self,
        id: &str,
        holder: &str,
        answers: Vec<(String, String)>,
    ) -> Result<(), TaskError> {
        self.inner.change(id, Some(holder), Command::Answer { answers }).await.map(drop)
    }

    /// Cancels a task; one that has ended stays as it is. The call upstream is cancelled by whoever makes it.
    ///
    /// # Errors
    /// As [`Tasks::get`].
    pub async fn cancel(&self, id: &str, holder: Option<&str>) -> Result<Task, TaskError> {
        match self.inner.change(id, holder, Command::Cancel).await? {
            Ok(task) => {
                Counters::add(&self.inner.counters.cancelled, 1);
                Ok(task)
            }
            Err((_, task)) => Ok(task),
        }
    }

    /// Begins the next attempt of a task that waits for it now.
    ///
    /// # Errors
    /// As [`Tasks::get`]; the inner error where it does not wait.
    pub async fn hasten(&self, id: &str) -> Result<Result<Task, Refusal>, TaskError> {
        let done = self.inner.change(id, None, Command::Hasten).await?;
        self.inner.claims.notify_one();
        Ok(done.map_err(|(refusal, _)| refusal))
    }

    /// Waits until the task has another version than this, or has one that wants its client: at most so long.
    /// No worker and no connection of the store is held meanwhile.
    ///
    /// # Errors
    /// As [`Tasks::get`].
    pub async fn wait(
        &self,
        id: &str,
        holder: &str,
        until: impl Fn(&Task) -> bool,
        patience: Duration,
    ) -> Result<View, TaskError> {
        let deadline = tokio::time::Instant::now() + patience;
        // Listened to first, so that no change falls between the look and the wait.
        let mut changes = self.inner.watched.watch(id);
        loop {
            changes.borrow_and_update();
            let view = self.get(id, holder).await?;
            if until(&view.task) || !view.task.state.is_open() {
                return Ok(view);
            }
            let at = deadline.min(
                tokio::time::Instant::now()
                    + view.task.expires.since(self.inner.now())
                    + Duration::from_millis(1),
            );
            if tokio::time::timeout_at(at, changes.changed()).await.is_err() && at == deadline {
                return Ok(view);
            }
        }
    }

    /// The versions of a task from now on, for whoever wants to hear of its changes.
    #[must_use]
    pub fn watch(&self, id: &str) -> watch::Receiver<u64> {
        self.inner.watched.watch(id)
    }

    /// What is counted.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.inner.counters.figures(self.inner.live.len() as u64)
    }

    /// Takes no more work. What runs goes on.
    pub fn drain(&self) {
        self.inner.stopping.store(true, Ordering::Release);
    }

    /// Takes no more work, gives what runs so long to end, and leaves the rest to other workers at once.
    pub async fn stop(&self, grace: Duration) {
        self.drain();
        let deadline = tokio::time::Instant::now() + grace;
        while self.inner.live.len() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut workers = {
            let mut all = self.workers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::take(&mut *all)
        };
        workers.shutdown().await;
        self.inner.live.clear();
        claim::release(&self.inner).await;
    }
}

impl View {
    /// The questions that wait for an answer: key and request, as JSON.
    pub fn questions(&self) -> impl Iterator<Item = (&str, &str)> {
        let open = self.task.questions.iter().filter(|q| q.state == QuestionState::Open);
        open.map(|q| (&*q.key, &*q.ask))
    }
}

impl Holding {
    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard { name: &self.name, owner: &self.owner, fence: self.fence }
    }
}
