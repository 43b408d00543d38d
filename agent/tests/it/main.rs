//! The agent against real parts: mosquitto as the broker, a coordinator of a few lines, processes and containers.

#[cfg(test)]
mod agent;
#[cfg(test)]
mod coordinator;
#[cfg(test)]
mod mqtt;
#[cfg(test)]
mod smoke;
