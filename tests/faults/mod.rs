//! A revocation that was acknowledged is final, whatever breaks: real processes, a fault for each row of the failure
//! table, and traffic and open streams all the while.

mod instruments;
