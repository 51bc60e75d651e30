//! The cases of Erlang/OTP's `supervisor_SUITE` for this crate's supervisors and pools.
//!
//! Each test has the name of the suite's case and checks the same rule with our own code.
//! `docs/otp.md` lists what is missing and where the two differ; its table is tested, too. All
//! cases run in the simulation with several seeds.

mod abnormal;
mod admin;
mod admin_simple;
mod child;
mod counts;
mod doc_table;
mod hanging;
mod incarnation_log;
mod nested;
mod normal;
mod one_for_all;
mod one_for_one;
mod order;
mod rest_for_one;
mod significant;
mod significant_groups;
mod simple;
mod specs;
mod start;
mod start_errors;
mod start_map;
mod stop;
mod stop_dynamic;
mod supervisor_under_test;
mod support;
mod temporary;
