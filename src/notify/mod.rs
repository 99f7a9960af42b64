//! Notifications: what an operator must know, by a program and by mail.
//!
//! Delivery never blocks the server: a notification goes into a queue of bounded length, and one task delivers it.
//!
//! | file | contents |
//! | --- | --- |
//! | `notification` | what can be notified of |
//! | `digest` | repetitions within an hour, summed up |
//! | `delivery` | the queue and the task, attempts and failures |
//! | `command` | the program |
//! | `mail` | the mail |

mod command;
mod delivery;
mod digest;
mod mail;
mod notification;

pub use delivery::{Delivered, NotificationQueue, Notifier, NotifySettings, problems};
pub use notification::{Notification, NotificationKind};
