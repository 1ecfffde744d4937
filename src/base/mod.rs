//! The words every other module uses: packets, endpoints, times, frames, anomalies, limits.
//!
//! Nothing here does I/O, knows a protocol or reads a clock.

mod anomaly;
mod endpoint;
mod error;
mod frames;
mod idx;
pub mod limits;
mod names;
mod packet;
mod time;

pub use anomaly::{Anomalies, Anomaly, AnomalyKind, AnomalySummary};
pub use endpoint::{Connection, Endpoint, EndpointText, Transport};
pub use error::Error;
pub use frames::Frames;
pub use idx::Idx;
pub use names::{BadName, Names};
pub use packet::{Batch, LinkType, PacketMeta};
pub use time::Timestamp;
