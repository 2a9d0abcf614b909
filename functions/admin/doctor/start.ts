/** POST /admin/doctor: has the doctor look at everything. */
import { examination } from '../../../contract/api/doctor.ts'
import { defineFunction } from '../../../runtime/function.ts'

export default defineFunction(
  { summary: 'Start the doctor', needs: ['AGENT'], responses: { 200: examination } },
  ({ env: { AGENT } }) => AGENT.startExamination(),
)
