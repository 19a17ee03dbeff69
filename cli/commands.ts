/** Every command of `troupe` but `node`, which has no use for them: what they need takes a daemon's memory. */
import { acme } from "#cli/commands/acme.ts"
import { alerts } from "#cli/commands/alerts.ts"
import { allow, deny } from "#cli/commands/allow.ts"
import { autoscale } from "#cli/commands/autoscale.ts"
import { backup, restore } from "#cli/commands/backup.ts"
import { dashboard } from "#cli/commands/dashboard.ts"
import { doctor } from "#cli/commands/doctor.ts"
import { history } from "#cli/commands/history.ts"
import { httpToken } from "#cli/commands/http-token.ts"
import { log } from "#cli/commands/log.ts"
import { logs } from "#cli/commands/logs.ts"
import { natsCreds } from "#cli/commands/nats-creds.ts"
import { networkKeys } from "#cli/commands/network-keys.ts"
import { recover } from "#cli/commands/recover.ts"
import { recorder, replay } from "#cli/commands/replay.ts"
import { status } from "#cli/commands/status.ts"
import { top } from "#cli/commands/top.ts"
import { trace } from "#cli/commands/trace.ts"
import { tree } from "#cli/commands/tree.ts"
import { down, plan, up } from "#cli/commands/up.ts"
import { why } from "#cli/commands/why.ts"

export const commands = [
  up,
  plan,
  down,
  status,
  top,
  why,
  history,
  autoscale,
  alerts,
  tree,
  trace,
  recorder,
  replay,
  doctor,
  logs,
  log,
  backup,
  restore,
  recover,
  allow,
  deny,
  natsCreds,
  networkKeys,
  httpToken,
  acme,
  dashboard
] as const
