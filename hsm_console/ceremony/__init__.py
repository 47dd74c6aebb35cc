"""Ceremonies: scripts as data, a fold over the log's events, decisions about answers, minutes. No I/O on devices.

script    parse, digest, library, own, summary         one TOML file is one ceremony
lint      findings, check                              what cannot happen
state     State, encode, decode                        plain values, JSON
fold      apply(state | None, recorded)                pure and total
decide    open_ceremony, decide                        answers → drafts, or a plan
engine    Context, settled, conclude, follow_up, due   what follows
steps     checked, read_back                           what the gateway found → drafts
ballot    statement, check_statement                   what a person signs
plans     HsmPlan, ChecksPlan, ReadBackPlan, ClosePlan work for the gateway
view      view, summary, key_view                      what a page shows
recovery  classify                                     an open intent after a crash
minutes   build, digest                                the record of it all, as data
minutes_pdf, script_pdf                                the same on paper
rehearsal differences, certificate                     a rehearsal against the ceremony
"""
