//! State machines as tables: one row per transition, from which methods, a list and a drawn graph are made.

/// Declares the transitions of an enum of states.
///
/// Each row `on_event(A | B => C);` becomes a method that takes the state from `A` or `B` to `C` and answers whether
/// the event was expected in this state. A repeated event (already in `C`) changes nothing and is expected. The rows
/// themselves are `TRANSITIONS`, `(event, from, to)`, for snapshot tests and graphs.
#[macro_export]
macro_rules! transitions {
    ($state:ident { $($(#[$doc:meta])* $event:ident($($from:ident)|+ => $to:ident);)+ }) => {
        impl $state {
            /// Every transition there is: event, state before, state after.
            pub const TRANSITIONS: &[(&str, Self, Self)] =
                &[$($((stringify!($event), Self::$from, Self::$to),)+)+];

            $($(#[$doc])*
            ///
            /// Answers `false`, and changes nothing, when the event makes no sense in this state.
            pub fn $event(&mut self) -> bool {
                match self {
                    $(Self::$from)|+ => { *self = Self::$to; true }
                    Self::$to => true,
                    #[allow(unreachable_patterns, reason = "a row may start from every state")]
                    _ => false,
                }
            })+
        }
    };
}

#[cfg(test)]
mod tests {
    #![allow(unreachable_pub, reason = "the macro writes `pub` for every machine")]

    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Door {
        Open,
        Closed,
        Locked,
    }

    transitions!(Door {
        /// Somebody closed it.
        on_close(Open => Closed);
        /// Somebody turned the key.
        on_lock(Closed => Locked);
    });

    #[test]
    fn a_row_moves_a_repeat_stays_and_the_rest_is_refused() {
        let mut door = Door::Open;
        assert!(!door.on_lock() && door == Door::Open);
        assert!(door.on_close() && door.on_close() && door.on_lock());
        assert_eq!(door, Door::Locked);
        assert_eq!(Door::TRANSITIONS.len(), 2);
    }
}
