//! What outlives a process or is shared by replicas: verbs on a transaction, and no tables.
//!
//! A backend implements [`Store`] and [`Tx`]; [`Memory`] is one that ends with the process. What a verb
//! promises stands at the verb, and a test of the contract suite (feature `contract`) repeats its words.

mod approvals;
mod audit;
mod budget;
mod dump;
mod error;
mod faulty;
mod grant;
mod limit;
mod memory;
mod pack;
mod pins;
mod port;
mod row;
mod task;
mod users;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

pub use approvals::{
    APPROVAL_ARGUMENTS_BYTES_MAX, Approval, ApprovalError, ApprovalOffice, ApprovalState, Decider, Taken,
};
pub use audit::{
    AUDIT_CONTENT_BYTES_MAX, AUDIT_LINE_BYTES_MAX, AUDIT_NOTE_BYTES_MAX, AuditBatch, AuditContentRow,
    AuditEntryRow, AuditFilter, AuditLogRow, AuditNoteRow, AuditStore, AuditTileRow, AuditTx, AuditWrite,
};
pub use budget::{Budget, BudgetAsk, BudgetGrant, BudgetRow, BudgetStore, BudgetTx};
pub use dump::{Dump, DumpError, RecordSink, Records, copy, read_dump, write_dump};
pub use error::StoreError;
pub use faulty::{Commit, Fault, Faults, Faulty, Wire};
pub use grant::{GrantFilter, GrantRow, GrantStore, GrantTx};
pub use limit::{
    BLOB_PART_BYTES_MAX, BLOB_PARTS_MAX, EVENT_BYTES_MAX, GRANT_BYTES_MAX, LEVEL_BYTES_MAX, NAME_BYTES_MAX,
    TASK_CALL_BYTES_MAX, TASK_HEAD_BYTES_MAX, TASK_OUTCOME_BYTES_MAX, TEXT_BYTES_MAX, URI_BYTES_MAX,
    URL_BYTES_MAX, blob_part_fits, fits,
};
pub use memory::Memory;
pub use pack::{
    AUDIT_PACK_BYTES, AuditPack, AuditPacked, AuditUnpack, audit_pick, audit_take, mark as audit_mark,
};
pub use pins::{
    Approval as PinApproval, FIRST_SIGHT, First, PIN_NAME_BYTES_MAX, PIN_TEXT_BYTES_MAX, PINS_MAX, PinCopy,
    PinError, PinKey, PinOffice, PinRow, PinState, PinVersion, PinsBefore, Sighting,
};
pub use port::{Store, Tx, audit_write_by_verbs};
pub use row::{
    Appended, Changed, Fence, KeyRow, LeaseRow, Record, ReplicaRow, Seq, SessionRow, StreamLimits,
    StreamPart, StreamRow,
};
pub use task::{
    Guard, TaskChange, TaskFilter, TaskMade, TaskPhase, TaskPut, TaskRow, TaskStore, TaskTx, TaskUsage,
};
pub use users::{BarRow, Enabled, UserError, UserOffice, UserView, UserViews};
