import type { LoadedEngineConfig } from "../config/load-engine-config.ts";
import { compareProblems, type Problem } from "../document/problem.ts";
import { readTlsFiles } from "../transport/http2/tls-files.ts";

/** What is wrong with the files that `extProc.tls` names, at the places where they are named. */
export async function tlsProblems({ config, document }: LoadedEngineConfig): Promise<Problem[]> {
  const tls = config?.extProc.tls;
  if (tls === undefined || document === undefined) return [];
  const { problems } = await readTlsFiles(tls);
  return problems
    .map(({ file, message, hint, code }) => {
      const severity = code === undefined ? "error" : "warning";
      return document.problem(`/extProc/tls/${file}`, message, { hint, code, severity });
    })
    .sort(compareProblems);
}
