/** A source node in memory: says what it is told to say and remembers what it was asked. */
import type { InventoryVm } from '../../contract/api/inventory.ts'
import type { HubError } from '../../contract/errors.ts'
import type { DiscoverRequest, NodeApi, StartRequest } from '../../contract/node.ts'

export class FakeNode implements NodeApi {
  vms: InventoryVm[] = []
  readonly discovered: DiscoverRequest[] = []
  readonly started: StartRequest[] = []
  readonly stopped: string[] = []
  /** Thrown by the next calls. */
  failure: HubError | undefined

  async health() {
    if (this.failure) throw this.failure
  }
  async discover(request: DiscoverRequest) {
    if (this.failure) throw this.failure
    this.discovered.push(request)
    return { vms: this.vms }
  }
  async startBackup(request: StartRequest) {
    if (this.failure) throw this.failure
    this.started.push(request)
  }
  async stopBackup(jobId: string) {
    this.stopped.push(jobId)
  }
}
