//! The coordinator as others meet it: over HTTP, over MQTT, and across its own end.

#![cfg(test)]

mod agents;
mod api;
mod durability;
mod external;
mod hostile;
mod jobs;
mod nodes;
mod reads;
mod support;
