"""Doctor: the same checks as `keyturn doctor`, each with its fix."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from keyturn.services import doctor
from keyturn.web import rendering
from keyturn.web.auth import Visit, admin_visit

router = APIRouter(prefix="/admin/doctor", include_in_schema=False)


@router.get("")
async def show(visit: Annotated[Visit, Depends(admin_visit)]) -> Response:
    """Look at everything now."""
    return await rendering.shell(
        visit,
        "doctor.html",
        active="doctor",
        checks=await doctor.examine(visit.ctx),
        public_url=visit.ctx.deployment.public_url,
    )
