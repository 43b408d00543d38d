//! What must hold of orders: S13.

use holdfast_agent_core::Effect;
use holdfast_shared::wire::{Answer, FromAgent};

use crate::orders::{Color, KEY};
use crate::world::World;

impl World {
    /// S13: no order is carried out twice.
    pub(crate) fn orders_are_done_once(&mut self, number: usize, effects: &[Effect]) {
        let done = effects.iter().filter_map(|effect| match effect {
            Effect::Publish(FromAgent::Answer(Answer {
                number,
                refusal: None,
                ..
            })) => Some(*number),
            _ => None,
        });
        for order in done {
            if !self.operator.orders.done.insert(order) {
                let name = self.name_of_box(number);
                self.invariants
                    .find("S13", || format!("{name} carries an order out twice"));
            }
        }
    }

    /// S13: once the faults are over, the meta of every node is what was acknowledged last, and everybody knows it.
    pub(super) fn meta_is_as_acknowledged(&mut self) {
        let state = self.host.state();
        let mut found = Vec::new();
        for device in &self.devices[..self.boxes] {
            let Some(node) = state.nodes.get(&device.id) else {
                continue;
            };
            let known: Color = node.fingerprint.meta.get(KEY).cloned();
            let name = self.name_of_box(device.number);
            let has = device
                .agent()
                .and_then(|agent| agent.meta().get(KEY).cloned().flatten());
            if known != has {
                found.push(format!(
                    "{name} has the meta {has:?}, and the coordinator knows {known:?}"
                ));
            }
            let meta = self.operator.orders.meta.get(&device.id);
            if let Some(meta) = meta.filter(|meta| !meta.allows(&has)) {
                found.push(format!("{name} has the meta {has:?} instead of {meta:?}"));
            }
        }
        for text in found {
            self.invariants.find("S13", || text);
        }
    }
}
