/* What Python calls; all else stays within the library. */
#ifndef LEDGER_EXPORTED_H
#define LEDGER_EXPORTED_H

#ifdef __GNUC__
#define EXPORTED __attribute__((visibility("default")))
#else
#define EXPORTED
#endif

#endif
